"""The sine-wave example of the old PyTorch repository: two LSTM cells, LBFGS with a closure, a loss at every step."""

import torch
from torch import nn, optim


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm1 = nn.LSTMCell(1, 16)
        self.lstm2 = nn.LSTMCell(16, 16)
        self.linear = nn.Linear(16, 1)

    def forward(self, wave):
        outputs = []
        h1 = c1 = h2 = c2 = torch.zeros(wave.size(0), 16)
        for value in wave.split(1, dim=1):
            h1, c1 = self.lstm1(value, (h1, c1))
            h2, c2 = self.lstm2(h1, (h2, c2))
            outputs.append(self.linear(h2))
        return torch.cat(outputs, dim=1)


torch.manual_seed(72)
t = torch.arange(31) + torch.randint(0, 60, (6, 1))
wave = torch.sin(t / 5.0)
seq = Sequence()
criterion = nn.MSELoss()
optimizer = optim.LBFGS(seq.parameters(), lr=0.5, max_iter=5)


def closure():
    optimizer.zero_grad()
    loss = criterion(seq(wave[:, :-1]), wave[:, 1:])
    loss.backward()
    return loss


for i in range(6):
    loss = optimizer.step(closure)
    print(i, loss.item())
