"""Padded with zeros to the longest sample, then read at the last column, whatever a sample's length."""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence


class Gestures(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 32, batch_first=True)
        self.fc = nn.Linear(32, 3)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.fc(out[:, -1])


def batch(n=16):
    label = torch.randint(3, (n,))
    lengths = torch.randint(4, 17, (n,)).tolist()
    samples = [torch.randn(length, 3) for length in lengths]
    for sample, y in zip(samples, label.tolist(), strict=True):
        sample[:, y] += 1.0
    return pad_sequence(samples, batch_first=True), label


torch.manual_seed(0)
model = Gestures()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for i in range(60):
    x, y = batch()
    loss = nn.functional.cross_entropy(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 20 == 0:
        print(i, loss.item())
