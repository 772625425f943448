import torch
import torch.nn as nn

torch.manual_seed(0)


class GRUish(nn.Module):
    def __init__(self, i, h):
        super().__init__()
        self.g = nn.Linear(i + h, 2 * h)
        self.h = h
        with torch.no_grad():
            self.g.bias[:h] = 4.0

    def forward(self, x, s):
        z, n = self.g(torch.cat([x, s], 1)).chunk(2, 1)
        z = torch.sigmoid(z)
        return z * s + (1 - z) * torch.tanh(n)


cell, out = GRUish(2, 24), nn.Linear(24, 1)
opt = torch.optim.Adam([*cell.parameters(), *out.parameters()], 1e-3)
s = torch.zeros(8, 24)
hist = torch.zeros(8)
for step in range(150):
    loss = 0.0
    for t in range(5):
        x = torch.randn(8, 2)
        hist = 0.98 * hist + x[:, 0]
        s = cell(x, s)
        loss = loss + nn.functional.mse_loss(out(s).squeeze(1), hist)
    opt.zero_grad()
    loss.backward()
    opt.step()
    s = s.detach()
