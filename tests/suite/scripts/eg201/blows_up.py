"""Plain SGD on an exploding recurrence: the loss jumps, then everything is NaN."""

import torch
from torch import nn

torch.manual_seed(2)
rnn = nn.RNN(4, 32, nonlinearity="relu")
nn.init.orthogonal_(rnn.weight_hh_l0, gain=2.0)
head = nn.Linear(32, 1)
optimizer = torch.optim.SGD([*rnn.parameters(), *head.parameters()], lr=0.01)

for update in range(30):
    x = torch.randn(45, 8, 4)
    y = x[-1].sum(1, keepdim=True)
    prediction = head(rnn(x)[0][-1])
    loss = ((prediction - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if update < 5 or update % 10 == 0:
        print(update, loss.item())
