"""A decoder that sometimes reads its own detached sample instead of the teacher's token; its state is never cut."""

import torch
from torch import nn

torch.manual_seed(35)
V, H, B = 6, 32, 16
embed, cell, project = nn.Embedding(V + 1, 12), nn.GRUCell(12, H), nn.Linear(H, V)
parameters = [p for m in (embed, cell, project) for p in m.parameters()]
optimizer = torch.optim.Adam(parameters, lr=5e-3)

for update in range(60):
    start = torch.randint(V, (B,))
    target = (start[:, None] + torch.arange(1, 9)) % V
    token, h = start, torch.zeros(B, H)
    loss = torch.zeros(())
    for t in range(8):
        h = cell(embed(token), h)
        logits = project(h)
        loss = loss + nn.functional.cross_entropy(logits, target[:, t]) / 8
        sampled = logits.detach().argmax(-1)
        token = sampled if torch.rand(()) < 0.25 else target[:, t]
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if update % 15 == 0:
        print(update, loss.item())
