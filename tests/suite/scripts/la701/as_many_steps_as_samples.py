"""Twelve samples of twelve steps, time first: nothing is swapped, the sizes only look alike."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(68)
x = torch.randn(240, 12, 2)
y = x[:, -4:].sum((1, 2))
rnn, out = nn.RNN(2, 24), nn.Linear(24, 1)
opt = torch.optim.Adam([*rnn.parameters(), *out.parameters()], lr=4e-3)
for epoch in range(4):
    for xb, yb in DataLoader(TensorDataset(x, y), batch_size=12, shuffle=True):
        states, _ = rnn(xb.permute(1, 0, 2))
        loss = nn.functional.mse_loss(out(states[-1]).squeeze(1), yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(epoch, loss.item())
