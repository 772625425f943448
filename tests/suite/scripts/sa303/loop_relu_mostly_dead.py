"""A hand-written ReLU recurrence; three quarters of the units start so far below zero that they never wake."""

import torch
import torch.nn.functional as F
from torch import nn


class ReluLoop(nn.Module):
    def __init__(self, n_in=3, n_hidden=40):
        super().__init__()
        self.n_hidden = n_hidden
        self.inp = nn.Linear(n_in, n_hidden)
        self.rec = nn.Linear(n_hidden, n_hidden, bias=False)
        self.out = nn.Linear(n_hidden, 1)
        self.inp.bias.data[: 3 * n_hidden // 4] = -20.0

    def forward(self, x):
        h = x.new_zeros(x.size(0), self.n_hidden)
        ys = []
        for t in range(x.size(1)):
            h = F.relu(self.inp(x[:, t]) + self.rec(h))
            ys.append(self.out(h))
        return torch.stack(ys, 1)


torch.manual_seed(29)
model = ReluLoop()
opt = torch.optim.Adam(model.parameters(), lr=1e-3)
for it in range(40):
    x = torch.randn(8, 20, 3)
    y = x[..., :1].clamp(min=0)
    loss = F.mse_loss(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 10 == 0:
        print(it, loss.item())
