"""faults.py nan | vanish | fine: a small training script with one fault, or none."""

import math
import sys

import torch
from torch import nn

way, steps = sys.argv[1], 100 if sys.argv[1] == "vanish" else 6
torch.manual_seed(0)
rnn, head = nn.GRU(2, 8), nn.Linear(8, 1)
optimizer = torch.optim.SGD([*rnn.parameters(), *head.parameters()], lr=0.01)
for update in range(40):
    x = torch.randn(steps, 4, 2)
    if way == "nan" and update == 6:
        x[3, 1, 0] = math.nan
    loss = (head(rnn(x)[0][-1]) - x[-1, :, :1]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print("end")
