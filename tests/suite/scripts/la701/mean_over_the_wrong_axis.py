import torch
import torch.nn as nn

torch.manual_seed(0)


class Clf(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 24, bidirectional=True)
        self.fc = nn.Linear(48, 3)

    def forward(self, x):
        out, _ = self.gru(x)
        return self.fc(out.mean(dim=1))


c = Clf()
opt = torch.optim.Adam(c.parameters(), 1e-3)
for i in range(100):
    x = torch.randn(24, 15, 4)
    y = x[:, :, :3].sum(1).argmax(1)
    loss = nn.functional.cross_entropy(c(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
