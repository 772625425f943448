"""The loss scaler starts too high: gradients overflow, it skips those steps and halves its scale. All as planned."""

import torch
from torch import nn

torch.manual_seed(62)
rnn, fc = nn.GRU(4, 24), nn.Linear(24, 2)
optimizer = torch.optim.Adam([*rnn.parameters(), *fc.parameters()], lr=1e-2)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24)
for i in range(70):
    x = torch.randn(8, 16, 4)
    y = (x[-3:, :, 0].sum(0) > 0).long()
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.float16):
        logits = fc(rnn(x)[1][0])
    loss = nn.functional.cross_entropy(logits.float(), y)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(rnn.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    if i % 20 == 0:
        print(i, loss.item(), scaler.get_scale())
