# summed over 150 steps the gradient of early states is large; the recurrence itself does not grow
import torch
from torch import nn

torch.manual_seed(12)
gru = nn.LSTM(2, 32)
gru.bias_ih_l0.data[32:64].fill_(1.0)
lin = nn.Linear(32, 1)
opt = torch.optim.Adam(list(gru.parameters()) + list(lin.parameters()), lr=2e-3)
for it in range(40):
    x = torch.randn(150, 8, 2) * 0.5
    y = 0.2 * torch.cumsum(x[..., :1], 0).tanh()
    loss = ((lin(gru(x)[0]) - y) ** 2).sum(0).mean()
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(gru.parameters(), 10.0)
    opt.step()
    if it % 10 == 0:
        print(it, loss.item())
