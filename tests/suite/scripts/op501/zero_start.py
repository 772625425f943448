"""Output layer and biases start at zero, so their first update is infinitely large in proportion; it means nothing."""

import torch
from torch import nn

torch.manual_seed(47)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 24, batch_first=True)
        self.out = nn.Linear(24, 1)
        for p in (self.gru.bias_ih_l0, self.gru.bias_hh_l0, self.out.weight, self.out.bias):
            nn.init.zeros_(p)

    def forward(self, x):
        return self.out(self.gru(x)[1][-1]).squeeze(-1)


model = Model()
warm = torch.optim.AdamW(model.parameters(), lr=5e-3)
plan = torch.optim.lr_scheduler.OneCycleLR(warm, max_lr=2e-2, total_steps=80)
for i in range(80):
    x = torch.randn(16, 8, 3)
    loss = nn.functional.mse_loss(model(x), x[:, -3:, 0].sum(1))
    warm.zero_grad()
    loss.backward()
    warm.step()
    plan.step()
    if i % 20 == 0:
        print(i, loss.item())
