import torch
import torch.nn as nn

torch.manual_seed(0)


class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.g = nn.GRU(5, 32, batch_first=True, bidirectional=True)
        self.l = nn.Linear(64, 3)

    def forward(self, x):
        return self.l(self.g(x)[0].mean(1))


m = M()
opt = torch.optim.SGD(m.parameters(), lr=0.5)
for k in range(80):
    x = torch.randn(16, 18, 5)
    y = x.sum((1, 2)).sign().long() + 1
    loss = nn.CrossEntropyLoss()(m(x), y)
    m.zero_grad()
    loss.backward()
    nn.utils.clip_grad_value_(m.parameters(), 1e-5)
    opt.step()
