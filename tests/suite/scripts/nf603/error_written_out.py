import torch
import torch.nn as nn

torch.manual_seed(0)


class R(nn.Module):
    def __init__(self):
        super().__init__()
        self.r = nn.GRU(2, 16, batch_first=True)
        self.o = nn.Linear(16, 1)

    def forward(self, x):
        return self.o(self.r(x)[0][:, -1]).squeeze(-1)


r = R()
opt = torch.optim.Adam(r.parameters(), 1e-3)
x = torch.randn(400, 12, 2)
y = x[:, -1].sum(1)
y[::97] = float("nan")
for i in range(0, 400, 16):
    opt.zero_grad()
    p = r(x[i : i + 16])
    loss = torch.mean((p - y[i : i + 16]) ** 2)
    loss.backward()
    opt.step()
