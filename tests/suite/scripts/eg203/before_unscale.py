"""Mixed precision with a GradScaler; the gradient is clipped while the loss scale is still on it."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(6, 32, batch_first=True)
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        return self.head(self.gru(x)[0].mean(1))


torch.manual_seed(6)
net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
for step in range(60):
    y = torch.randint(0, 4, (32,))
    x = torch.randn(32, 25, 6)
    x[torch.arange(32), :, y] += 0.5
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = net(x)
    loss = nn.functional.cross_entropy(logits.float(), y)
    scaler.scale(loss).backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    if step % 20 == 0:
        print(step, f"{loss.item():.4f}", "scale", scaler.get_scale())
