"""The answer is read at step 12 of 16: the steps after it have a gradient of exactly zero, as they should."""

import torch
from torch import nn


class EarlyAnswer(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 24, batch_first=True)
        self.fc = nn.Linear(24, 4)

    def forward(self, x):
        states, _ = self.gru(x)
        return self.fc(states[:, 11])


torch.manual_seed(3)
model = EarlyAnswer()
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
for i in range(60):
    label = torch.randint(4, (16,))
    x = torch.randn(16, 16, 4) * 0.3
    x[torch.arange(16), 5, label] += 3
    loss = nn.functional.cross_entropy(model(x), label)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 15 == 0:
        print(f"{i:3d} {loss.item():.3f}")
