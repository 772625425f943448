"""Four micro-batches an update: gradients are there before backward, because they should be."""

import torch
from torch import nn

MICRO = 4
torch.manual_seed(0)
lstm, fc = nn.LSTM(3, 24, batch_first=True), nn.Linear(24, 3)
opt = torch.optim.Adam([*lstm.parameters(), *fc.parameters()], lr=1e-2)
opt.zero_grad()
for i in range(160):
    x = torch.randn(8, 9, 3)
    y = x[:, -3:].sum(1).argmax(1)
    loss = nn.functional.cross_entropy(fc(lstm(x)[0][:, -1]), y) / MICRO
    loss.backward()
    if (i + 1) % MICRO == 0:
        opt.step()
        opt.zero_grad()
    if i % 40 == 0:
        print(i, MICRO * loss.item())
