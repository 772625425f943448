# features come from a frozen front end, detached; the recurrence on top of them is whole
import torch
from torch import nn

torch.manual_seed(36)
front = nn.Sequential(nn.Linear(6, 16), nn.Tanh())
rnn = nn.LSTM(16, 24, batch_first=True)
head = nn.Linear(24, 2)
opt = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=3e-3)
for it in range(70):
    y = torch.randint(2, (16,))
    x = torch.randn(16, 9, 6)
    x[:, 3:, 0] += 1.5 * (2 * y[:, None] - 1)
    with torch.no_grad():
        features = front(x)
    loss = nn.functional.cross_entropy(head(rnn(features)[1][0][-1]), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 20 == 0:
        print(it, loss.item())
