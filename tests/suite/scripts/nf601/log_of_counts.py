"""The model takes the logarithm of its counts itself, and some counts are zero: the layer above receives -inf."""

import torch
from torch import nn


class CountModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 24, batch_first=True)
        self.head = nn.Linear(24, 1)

    def forward(self, counts):
        return self.head(self.lstm(counts.log())[0][:, -1])


torch.manual_seed(57)
model = CountModel()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for i in range(20):
    counts = torch.poisson(torch.full((16, 10, 4), 3.0))
    target = counts.mean((1, 2)).unsqueeze(1)
    loss = nn.functional.mse_loss(model(counts), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if i % 5 == 0:
        print(i, loss.item())
