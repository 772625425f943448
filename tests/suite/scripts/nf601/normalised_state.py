"""A cell that divides its state by the state's own standard deviation: zero over zero at the first step."""

import torch
from torch import nn


class NormedCell(nn.Module):
    bptt_state = {"h": 0}

    def __init__(self, n_in, n_hidden):
        super().__init__()
        self.W = nn.Linear(n_in, n_hidden)
        self.U = nn.Linear(n_hidden, n_hidden)

    def forward(self, h, x):
        h = (h - h.mean(-1, keepdim=True)) / h.std(-1, keepdim=True)
        return torch.tanh(self.W(x) + self.U(h))


torch.manual_seed(0)
cell, fc = NormedCell(3, 16), nn.Linear(16, 1)
opt = torch.optim.Adam([*cell.parameters(), *fc.parameters()], lr=1e-3)
for i in range(20):
    x = torch.randn(12, 8, 3)
    h = torch.zeros(8, 16)
    for x_t in x:
        h = cell(h, x_t)
    loss = nn.functional.mse_loss(fc(h), x[-1, :, :1])
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 5 == 0:
        print(i, loss.item())
