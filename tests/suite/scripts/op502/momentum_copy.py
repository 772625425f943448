# a slow copy of the encoder gives the targets, as in BYOL; it moves by averaging, not by gradient
import copy

import torch
from torch import nn

torch.manual_seed(71)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 24, batch_first=True)
        self.project = nn.Linear(24, 8)

    def forward(self, x):
        return self.project(self.gru(x)[1][0])


online, predictor = Encoder(), nn.Linear(8, 8)
target = copy.deepcopy(online)
for p in target.parameters():
    p.requires_grad = False
opt = torch.optim.Adam([*online.parameters(), *predictor.parameters()], lr=1e-3)
for step in range(60):
    x = torch.randn(16, 10, 4)
    one, two = x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x)
    loss = 2 - 2 * torch.cosine_similarity(predictor(online(one)), target(two)).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    with torch.no_grad():
        for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
            slow.lerp_(fast, 0.01)
