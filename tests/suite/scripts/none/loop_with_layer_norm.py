"""A hand-written gated cell with layer normalisation, unrolled over a dozen steps."""

import torch
from torch import nn


class LayerNormGRU(nn.Module):
    def __init__(self, n_in, n_hid):
        super().__init__()
        self.x2g = nn.Linear(n_in, 2 * n_hid)
        self.h2g = nn.Linear(n_hid, 2 * n_hid, bias=False)
        self.x2c = nn.Linear(n_in, n_hid)
        self.h2c = nn.Linear(n_hid, n_hid, bias=False)
        self.norm = nn.LayerNorm(n_hid)

    def forward(self, x, h):
        z, r = torch.sigmoid(self.x2g(x) + self.h2g(h)).chunk(2, dim=-1)
        c = torch.tanh(self.norm(self.x2c(x) + self.h2c(r * h)))
        return z * h + (1 - z) * c


torch.manual_seed(79)
cell, head = LayerNormGRU(4, 24), nn.Linear(24, 4)
opt = torch.optim.Adam([*cell.parameters(), *head.parameters()], lr=1e-2)
for i in range(60):
    tok = torch.randint(4, (12, 16))
    h = torch.zeros(16, 24)
    loss = torch.zeros(())
    for t in range(12):
        h = cell(nn.functional.one_hot(tok[t], 4).float(), h)
        if t > 0:
            loss = loss + nn.functional.cross_entropy(head(h), tok[t - 1]) / 11
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 15 == 0:
        print(i, loss.item())
