"""zero_grad(set_to_none=False): the gradient tensors stay, filled with zeros."""

import torch
from torch import nn

torch.manual_seed(55)
rnn = nn.GRU(2, 24)
fc = nn.Linear(24, 1)
params = [*rnn.parameters(), *fc.parameters()]
opt = torch.optim.Adam(params, lr=5e-3)
for i in range(70):
    x = torch.randn(8, 16, 2)
    loss = nn.functional.mse_loss(fc(rnn(x)[1][0]).squeeze(1), x[-3:].sum((0, 2)))
    opt.zero_grad(set_to_none=False)
    loss.backward()
    opt.step()
    if i % 20 == 0:
        print(i, loss.item())
