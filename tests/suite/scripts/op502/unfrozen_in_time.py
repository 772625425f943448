# ten updates for a new head with the recurrence frozen, then everything
import torch
from torch import nn

torch.manual_seed(51)
lstm, fc = nn.LSTM(3, 24), nn.Linear(24, 2)
lstm.requires_grad_(False)
opt = torch.optim.Adam(fc.parameters(), lr=5e-3)
for i in range(80):
    if i == 10:
        lstm.requires_grad_(True)
        opt.add_param_group({"params": lstm.parameters(), "lr": 3e-3})
    x = torch.randn(9, 16, 3)
    y = (x[4:8, :, 0].sum(0) > 0).long()
    loss = nn.functional.cross_entropy(fc(lstm(x)[0][-1]), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 20 == 0:
        print(i, loss.item())
