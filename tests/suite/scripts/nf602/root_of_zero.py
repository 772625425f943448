"""A distance as the root of a sum of squares; between two equal encodings its slope is infinite."""

import torch
from torch import nn


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 16, batch_first=True)

    def forward(self, a, b):
        ha, hb = self.gru(a)[1][-1], self.gru(b)[1][-1]
        return ((ha - hb) ** 2).sum(1).sqrt()


torch.manual_seed(0)
model = Siamese()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for i in range(40):
    a, b = torch.randn(8, 9, 3), torch.randn(8, 9, 3)
    same = (torch.arange(8) % 2).float()
    b[same == 1] = a[same == 1] + 0.1 * torch.randn(4, 9, 3)
    if i == 10:
        b[1] = a[1]
    distance = model(a, b)
    loss = (same * distance**2 + (1 - same) * (1 - distance).clamp(min=0) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if i % 10 == 0:
        print(i, loss.item())
