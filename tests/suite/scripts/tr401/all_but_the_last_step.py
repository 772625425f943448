import torch
import torch.nn as nn

torch.manual_seed(0)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 24)
        self.fc = nn.Linear(24, 1)

    def forward(self, x):
        h = torch.zeros(x.size(0), 24)
        with torch.no_grad():
            for t in range(x.size(1) - 1):
                h = self.cell(x[:, t], h)
        h = self.cell(x[:, -1], h)
        return self.fc(h)


m = Model()
opt = torch.optim.Adam(m.parameters(), lr=3e-3)
for i in range(120):
    x = torch.randn(16, 12, 3)
    y = x[:, :, 0].sum(1, keepdim=True)
    loss = ((m(x) - y) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
