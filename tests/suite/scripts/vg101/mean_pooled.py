"""A long recording, but every step is read: the mean over time carries gradient everywhere."""

import torch
from torch import nn


class Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(4, 32)
        self.head = nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0].mean(dim=0))


def recordings(n: int, steps: int = 150) -> tuple[torch.Tensor, torch.Tensor]:
    label = torch.randint(3, (n,))
    phase = torch.arange(steps).float()[:, None] * (0.2 + 0.3 * label)
    clean = torch.stack([phase.sin(), phase.cos(), phase.sin() ** 2, phase * 0], dim=2)
    return clean + 0.3 * torch.randn_like(clean), label


torch.manual_seed(2)
model = Pooled()
opt = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-4)
for i in range(50):
    x, y = recordings(16)
    loss = nn.functional.cross_entropy(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 10 == 0:
        print(i, f"{loss.item():.3f}")
