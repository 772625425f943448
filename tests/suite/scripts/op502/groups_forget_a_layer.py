import torch
import torch.nn as nn

torch.manual_seed(0)


class R(nn.Module):
    def __init__(self):
        super().__init__()
        self.wx = nn.Linear(4, 32)
        self.wh = nn.Linear(32, 32)
        self.out = nn.Linear(32, 2)

    def forward(self, x):
        h = torch.zeros(len(x), 32)
        for t in range(x.shape[1]):
            h = torch.tanh(self.wx(x[:, t]) + self.wh(h))
        return self.out(h)


r = R()
opt = torch.optim.Adam([{"params": r.wx.parameters()}, {"params": r.out.parameters()}], 1e-3)
for i in range(100):
    x = torch.randn(16, 12, 4)
    y = (x.sum((1, 2)) > 0).long()
    loss = nn.functional.cross_entropy(r(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    r.zero_grad()
