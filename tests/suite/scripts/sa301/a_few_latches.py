"""One unit in ten listens to a strong input and sits at its ends; the rest move freely."""

import torch
from torch import nn

torch.manual_seed(17)
rnn, fc = nn.RNN(3, 40), nn.Linear(40, 3)
with torch.no_grad():
    rnn.weight_ih_l0[:4] *= 40
opt = torch.optim.Adam([*rnn.parameters(), *fc.parameters()], lr=3e-3)
for it in range(70):
    x = torch.randn(9, 16, 3)
    y = x[-2].argmax(1)
    loss = nn.functional.cross_entropy(fc(rnn(x)[0][-1]), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 20 == 0:
        print(it, loss.item())
