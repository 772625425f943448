"""At each of 220 steps the product of this value and the last one."""

import torch
from torch import nn


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.core = nn.GRU(1, 24, batch_first=True)
        self.head = nn.Linear(24, 1)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        return self.head(self.core(series)[0])


def train() -> None:
    torch.manual_seed(21)
    model = Product()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    for update in range(40):
        series = torch.randn(8, 221, 1)
        target = series[:, 1:] * series[:, :-1]
        loss = nn.functional.mse_loss(model(series[:, 1:]), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if update % 10 == 0:
            print(update, round(loss.item(), 4))


if __name__ == "__main__":
    train()
