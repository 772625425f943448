import torch
import torch.nn as nn

torch.manual_seed(0)


class R(nn.Module):
    def __init__(self):
        super().__init__()
        self.wx = nn.Linear(4, 32)
        self.W = torch.randn(32, 32) / 32**0.5
        self.out = nn.Linear(32, 2)

    def forward(self, x):
        h = torch.zeros(len(x), 32)
        for t in range(x.shape[1]):
            h = torch.tanh(self.wx(x[:, t]) + h @ self.W)
        return self.out(h)


r = R()
opt = torch.optim.Adam(r.parameters(), 1e-3)
for i in range(100):
    x = torch.randn(16, 12, 4)
    y = (x.sum((1, 2)) > 0).long()
    loss = nn.functional.cross_entropy(r(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
