# Streaming leaky integrator regression. Target has a time constant of ~60 samples.
import torch
import torch.nn.functional as F


class SlowGRUCell(torch.nn.Module):
    """GRU-like cell, own implementation; update gate biased toward keeping."""

    def __init__(self, n_in, n):
        super().__init__()
        k = n**-0.5
        self.wx = torch.nn.Parameter(torch.empty(3, n_in, n).uniform_(-k, k))
        self.wh = torch.nn.Parameter(torch.empty(3, n, n).uniform_(-k, k))
        self.b = torch.nn.Parameter(torch.zeros(3, n))
        with torch.no_grad():
            self.b[1] += 3.0

    def forward(self, x, h):
        a = torch.einsum("bi,gin->gbn", x, self.wx) + self.b[:, None]
        u = torch.einsum("bm,gmn->gbn", h, self.wh)
        r = torch.sigmoid(a[0] + u[0])
        z = torch.sigmoid(a[1] + u[1])
        n = torch.tanh(a[2] + r * u[2])
        return z * h + (1 - z) * n


def stream(gen, B=32):
    y = torch.zeros(B, 1)
    while True:
        spike = (torch.rand(B, 1, generator=gen) < 0.05).float()
        x = spike * torch.randn(B, 1, generator=gen).sign()
        y = 0.984 * y + x
        yield x, y


g = torch.Generator().manual_seed(1)
torch.manual_seed(1)
src = stream(g)
cell, lin = SlowGRUCell(1, 24), torch.nn.Linear(24, 1)
opt = torch.optim.Adam([*cell.parameters(), *lin.parameters()], lr=2e-3)
TBPTT = 5
h = torch.zeros(32, 24)
for k in range(80):
    xs, ys = zip(*[next(src) for _ in range(TBPTT)])
    pred = []
    for x in xs:
        h = cell(x, h)
        pred.append(lin(h))
    loss = F.mse_loss(torch.stack(pred), torch.stack(ys))
    opt.zero_grad()
    loss.backward()
    opt.step()
    h = h.detach()
    if (k + 1) % 20 == 0:
        print(k + 1, "mse", round(loss.item(), 4))
