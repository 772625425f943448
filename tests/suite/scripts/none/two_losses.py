"""One trunk, two tasks, a truncated window that is long enough, double precision, Adagrad."""

import torch
from torch import nn

torch.manual_seed(78)
torch.set_default_dtype(torch.float64)
trunk = nn.LSTM(2, 20, batch_first=True)
level, sign = nn.Linear(20, 1), nn.Linear(20, 2)
weights = [p for m in (trunk, level, sign) for p in m.parameters()]
opt = torch.optim.Adagrad(weights, lr=0.05)
for i in range(70):
    x = torch.randn(16, 12, 2)
    total = x[..., 0] + 0.5 * x[..., 0].roll(1, 1)
    h, _ = trunk(x)
    a = nn.functional.mse_loss(level(h).squeeze(-1)[:, 1:], total[:, 1:])
    b = nn.functional.cross_entropy(sign(h[:, -1]), (x[:, -3:, 1].sum(1) > 0).long())
    opt.zero_grad()
    (a + 0.5 * b).backward()
    opt.step()
    if i % 20 == 0:
        print(i, a.item(), b.item())
