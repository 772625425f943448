"""Heights in millimetres, times in milliseconds: gates that are either open or shut, whatever the weights do."""

import torch
from torch import nn

torch.manual_seed(25)


class Tracker(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 32, batch_first=True)
        self.fc = nn.Linear(32, 1)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.fc(out)


model = Tracker()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for i in range(50):
    raw = torch.randn(8, 20, 3) * torch.tensor([1500.0, 3000.0, 900.0])
    y = (raw[..., :1] / 1500 + raw.roll(2, 1)[..., :1] / 1500) / 2
    loss = nn.functional.mse_loss(model(raw), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if i % 10 == 0:
        print(i, loss.item())
