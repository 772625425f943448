"""The forget bias was meant to be +8 and became -8: nothing is remembered from one step to the next."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, n_hidden=32):
        super().__init__()
        self.lstm = nn.LSTM(4, n_hidden, batch_first=True)
        self.fc = nn.Linear(n_hidden, 4)
        for name, bias in self.lstm.named_parameters():
            if name.startswith("bias_ih"):
                bias.data[n_hidden : 2 * n_hidden] = -8.0

    def forward(self, x):
        return self.fc(self.lstm(x)[0])


torch.manual_seed(0)
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for it in range(60):
    tok = torch.randint(4, (16, 15))
    x = nn.functional.one_hot(tok, 4).float()
    loss = nn.functional.cross_entropy(net(x)[:, 3:].flatten(0, 1), tok[:, :-3].flatten())
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 20 == 0:
        print(it, loss.item())
