"""Half the units are silent at any moment, but every unit fires for some sample at some step."""

import torch
from torch import nn

torch.manual_seed(30)
rnn = nn.RNN(6, 48, nonlinearity="relu", batch_first=True)
fc = nn.Linear(48, 6)
opt = torch.optim.Adam([*rnn.parameters(), *fc.parameters()], lr=2e-3)
for i in range(80):
    x = torch.randn(16, 10, 6)
    y = x[:, -2].argmax(1)
    loss = nn.functional.cross_entropy(fc(rnn(x)[0][:, -1]), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 20 == 0:
        print(i, loss.item())
