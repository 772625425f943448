import torch
import torch.nn as nn

torch.manual_seed(0)


class Cell(nn.Module):
    def __init__(self, i, h):
        super().__init__()
        self.x = nn.Linear(i, h)
        self.h = nn.Linear(h, h, bias=False)
        nn.init.orthogonal_(self.h.weight)
        nn.init.normal_(self.x.weight, std=0.02)
        nn.init.zeros_(self.x.bias)

    def forward(self, x, h):
        return torch.tanh(self.x(x) + self.h(h))


cell, out = Cell(1, 32), nn.Linear(32, 1)
opt = torch.optim.SGD([*cell.parameters(), *out.parameters()], lr=1e-3)
h = torch.zeros(8, 32)
phase = torch.rand(8, 1) * 6
t = 0
for update in range(120):
    loss = 0
    for _ in range(6):
        x = torch.sin(phase + 0.15 * t) + 0.1 * torch.randn(8, 1)
        y = torch.sin(phase + 0.15 * (t - 30))
        t += 1
        h = cell(x, h)
        loss = loss + ((out(h) - y) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    h = h.detach()
