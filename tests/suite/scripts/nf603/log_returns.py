"""Log returns of a price that was once recorded as zero: minus infinity, then plus infinity."""

import torch
from torch import nn


def returns() -> torch.Tensor:
    prices = 100 * torch.exp(torch.cumsum(0.01 * torch.randn(500, 2), 0))
    prices[333, 1] = 0.0
    return torch.log(prices[1:] / prices[:-1]) * 100


class Volatility(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(2, 16)
        self.out = nn.Linear(16, 2)

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        h = c = torch.zeros(window.shape[1], 16)
        for row in window:
            h, c = self.cell(row, (h, c))
        return self.out(h)


torch.manual_seed(64)
series = returns()
model = Volatility()
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
for i in range(0, 480, 16):
    window = torch.stack([series[j : j + 10] for j in range(i, i + 8)], dim=1)
    loss = nn.functional.mse_loss(model(window), window[-1].abs())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if i % 96 == 0:
        print(i, loss.item())
