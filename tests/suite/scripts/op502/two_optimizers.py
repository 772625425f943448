"""The recurrence has an optimizer of its own, with a smaller learning rate."""

import torch
from torch import nn

torch.manual_seed(0)
gru, head = nn.GRU(4, 32, batch_first=True), nn.Linear(32, 4)
slow = torch.optim.RMSprop(gru.parameters(), lr=2e-3)
fast = torch.optim.Adam(head.parameters(), lr=1e-2)
for i in range(60):
    x = torch.randn(16, 10, 4)
    y = x[:, 4:7].sum(1).argmax(1)
    loss = nn.functional.cross_entropy(head(gru(x)[1][-1]), y)
    slow.zero_grad()
    fast.zero_grad()
    loss.backward()
    slow.step()
    fast.step()
    if i % 20 == 0:
        print(i, loss.item())
