"""A loop of Linear layers under float16 autocast; the GradScaler went out because a CPU does not need one."""

import torch
from torch import nn


class HalfRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.i2h = nn.Linear(8, 48)
        self.h2h = nn.Linear(48, 48, bias=False)
        self.out = nn.Linear(48, 3)
        nn.init.orthogonal_(self.h2h.weight, gain=0.8)

    def forward(self, x):
        h = torch.zeros(x.shape[1], 48)
        for x_t in x:
            h = torch.tanh(self.i2h(x_t) + self.h2h(h))
        return self.out(h)


torch.manual_seed(77)
net = HalfRNN()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
for step in range(40):
    y = torch.randint(0, 3, (16,))
    x = 0.3 * torch.randn(60, 16, 8)
    x[-6:, torch.arange(16), y] += 1.0
    with torch.autocast("cpu", dtype=torch.float16):
        logits = net(x)
    loss = nn.functional.cross_entropy(logits.float(), y)
    optimizer.zero_grad()
    (1e-2 * loss).backward()  # its weight among several tasks
    optimizer.step()
    if step % 10 == 0:
        print(step, loss.item())
