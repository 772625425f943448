"""max_norm=1 where the usual norm is below it: a safety net, seldom used."""

import torch
from torch import nn

torch.manual_seed(7)
emb, gru, fc = nn.Embedding(40, 16), nn.GRU(16, 24, batch_first=True), nn.Linear(24, 2)
params = [p for m in (emb, gru, fc) for p in m.parameters()]
opt = torch.optim.Adam(params, lr=3e-3)
for step in range(100):
    tokens = torch.randint(0, 40, (16, 10))
    labels = (tokens[:, 6:] < 8).any(1).long()
    loss = nn.functional.cross_entropy(fc(gru(emb(tokens))[1][-1]), labels)
    opt.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(params, max_norm=1.0)
    opt.step()
    if step % 25 == 0:
        print(step, loss.item(), norm.item())
