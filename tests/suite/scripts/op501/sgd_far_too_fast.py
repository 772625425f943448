# learning rate meant for a normalised loss, used on a summed one
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(44)
gru, fc = nn.GRU(2, 24), nn.Linear(24, 1)
opt = torch.optim.SGD([*gru.parameters(), *fc.parameters()], lr=5.0, momentum=0.9)
for it in range(50):
    x = torch.randn(12, 32, 2)
    y = x[-3:].mean((0, 2)).unsqueeze(1)
    loss = F.smooth_l1_loss(fc(gru(x)[1][0]), y, reduction="sum")
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 10 == 0:
        print(it, loss.item())
