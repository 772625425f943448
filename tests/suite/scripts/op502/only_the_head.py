"""The optimizer was given the head's parameters; the encoder stays as it was born."""

import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 32, batch_first=True)

    def forward(self, x):
        return self.gru(x)[1][-1]


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        return self.head(self.encoder(x))


torch.manual_seed(0)
model = Model()
optimizer = torch.optim.Adam(model.head.parameters(), lr=1e-2)
for i in range(60):
    x = torch.randn(16, 10, 4)
    y = x[:, 4:7].sum(1).argmax(1)
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if i % 20 == 0:
        print(i, loss.item())
