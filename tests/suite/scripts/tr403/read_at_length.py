"""Padded, not packed, but every sample is read at its own last step."""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence


class Gestures(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 32, batch_first=True)
        self.fc = nn.Linear(32, 3)

    def forward(self, x, lengths):
        out, _ = self.rnn(x)
        return self.fc(out[torch.arange(len(x)), lengths - 1])


torch.manual_seed(0)
model = Gestures()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for i in range(60):
    y = torch.randint(3, (16,))
    lengths = torch.randint(4, 17, (16,))
    samples = [torch.randn(int(length), 3) for length in lengths]
    for sample, label in zip(samples, y.tolist(), strict=True):
        sample[:, label] += 1.0
    x = pad_sequence(samples, batch_first=True)
    loss = nn.functional.cross_entropy(model(x, lengths), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 20 == 0:
        print(i, loss.item())
