"""Trains on a DataLoader whose workers are started in the way its argument names."""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Waves(Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, n: int) -> torch.Tensor:
        return torch.sin(torch.arange(16) * (n + 1.0))[:, None]


if __name__ == "__main__":
    torch.manual_seed(0)
    model = nn.LSTM(1, 4, batch_first=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(
        Waves(), batch_size=4, shuffle=True, num_workers=2, multiprocessing_context=sys.argv[1]
    )
    for _ in range(2):
        for batch in loader:
            optimizer.zero_grad()
            model(batch)[0][:, -1].square().sum().backward()
            optimizer.step()
    print(float(sum(weight.double().sum() for weight in model.parameters())).hex())
