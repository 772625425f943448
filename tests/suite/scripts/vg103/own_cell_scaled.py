"""A loop of Linear layers under float16 autocast with a gradient scaler; the small task weight does no harm then."""

import torch
from torch import nn


class HalfRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.i2h = nn.Linear(8, 48)
        self.h2h = nn.Linear(48, 48, bias=False)
        self.out = nn.Linear(48, 3)
        nn.init.orthogonal_(self.h2h.weight)

    def forward(self, x):
        h = torch.zeros(x.shape[1], 48)
        for x_t in x:
            h = torch.tanh(self.i2h(x_t) + self.h2h(h))
        return self.out(h)


torch.manual_seed(78)
net = HalfRNN()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14)
for step in range(40):
    y = torch.randint(0, 3, (16,))
    x = 0.3 * torch.randn(20, 16, 8)
    x[:6, torch.arange(16), y] += 1.0
    with torch.autocast("cpu", dtype=torch.float16):
        logits = net(x)
    loss = nn.functional.cross_entropy(logits.float(), y)
    optimizer.zero_grad()
    scaler.scale(1e-2 * loss).backward()
    scaler.step(optimizer)
    scaler.update()
    if step % 10 == 0:
        print(step, loss.item())
