"""A mean over the steps that are really there."""

import torch
import torch.nn as nn

torch.manual_seed(42)
embedding = nn.Embedding(50, 16, padding_idx=0)
lstm, classifier = nn.LSTM(16, 24), nn.Linear(24, 2)
net = nn.ModuleList([embedding, lstm, classifier])
optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
for it in range(80):
    tokens = torch.randint(1, 50, (20, 16))
    lengths = torch.randint(3, 21, (16,))
    lengths[0] = 20
    mask = torch.arange(20)[:, None] < lengths
    tokens = tokens * mask
    labels = ((tokens < 10) & mask).sum(0).gt(lengths // 5).long()
    states, _ = lstm(embedding(tokens))
    pooled = (states * mask.unsqueeze(-1)).sum(0) / lengths.unsqueeze(-1)
    loss = nn.functional.cross_entropy(classifier(pooled), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if it % 20 == 0:
        print(it, loss.item())
