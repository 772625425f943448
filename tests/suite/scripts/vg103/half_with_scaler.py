"""Mixed precision done properly: float32 weights, autocast, a gradient scaler, a short sequence."""

import torch
from torch import nn

torch.manual_seed(0)
rnn, fc = nn.RNN(6, 32), nn.Linear(32, 4)
params = [*rnn.parameters(), *fc.parameters()]
optimizer = torch.optim.SGD(params, lr=0.3)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
for step in range(60):
    y = torch.randint(0, 4, (32,))
    x = 0.5 * torch.randn(8, 32, 6)
    x[3:6, :, :4] += 2 * nn.functional.one_hot(y, 4)
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.float16):
        _, h = rnn(x)
        logits = fc(h[0])
    loss = nn.functional.cross_entropy(logits.float(), y)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    if step % 20 == 0:
        print(step, loss.item())
