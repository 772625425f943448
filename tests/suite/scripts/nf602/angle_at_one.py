"""Angles between all states of a batch, that of each state to itself among them: acos has no finite slope at one."""

import torch
import torch.nn as nn


class Turning(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(2, 12)

    def forward(self, x):
        h, _ = self.rnn(x)
        return nn.functional.normalize(h, dim=-1)


torch.manual_seed(61)
net = Turning()
opt = torch.optim.SGD(net.parameters(), lr=0.05)
others = ~torch.eye(8, dtype=torch.bool)
for i in range(30):
    x = torch.randn(10, 8, 2)
    h = net(x)[-1]
    angle = torch.acos((h @ h.T).clamp(-1, 1))
    wanted = torch.cdist(x[-1], x[-1])
    loss = ((angle - wanted) ** 2)[others].mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 6 == 0:
        print(i, loss.item())
