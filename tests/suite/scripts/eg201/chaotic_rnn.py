# a random rate network well past the edge of chaos (gain 2.2), target read out at every step
import math

import torch

torch.manual_seed(1)
N, T, B = 80, 80, 8


class RateNetwork(torch.nn.Module):
    def __init__(self, gain):
        super().__init__()
        self.rnn = torch.nn.RNN(1, N)
        self.readout = torch.nn.Linear(N, 1)
        torch.nn.init.normal_(self.rnn.weight_hh_l0, std=gain / math.sqrt(N))
        torch.nn.init.normal_(self.rnn.weight_ih_l0, std=0.1)

    def forward(self, u):
        r, _ = self.rnn(u)
        return self.readout(r)


net = RateNetwork(gain=2.2)
opt = torch.optim.Adam(net.parameters(), lr=1e-4)
u = torch.randn(T, B, 1)
target = torch.sin(torch.arange(T) / 8.0)[:, None, None].expand(T, B, 1)
for epoch in range(40):
    loss = ((net(u) - target) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    opt.step()
    if epoch % 10 == 0:
        print(epoch, loss.item())
