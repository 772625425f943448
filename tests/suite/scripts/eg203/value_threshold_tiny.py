import torch
from torch import nn, optim
from torch.nn.utils import clip_grad_value_

torch.manual_seed(5)
rnn = nn.LSTM(2, 20)
lin = nn.Linear(20, 1)
weights = list(rnn.parameters()) + list(lin.parameters())
opt = optim.SGD(weights, lr=0.05)

for i in range(80):
    x = torch.randn(12, 16, 2)
    y = 2 * x[-3:, :, 0].mean(0, keepdim=True).T + 1
    out, _ = rnn(x)
    loss = nn.functional.mse_loss(lin(out[-1]), y)
    opt.zero_grad()
    loss.backward()
    clip_grad_value_(weights, 1e-5)
    opt.step()
    if i % 20 == 0:
        print(i, loss.item())
