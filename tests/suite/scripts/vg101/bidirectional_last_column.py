"""Both directions of a GRU are read at the last step, where the backward one has seen a single word."""

import torch
from torch import nn


class Intent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(60, 16)
        self.gru = nn.GRU(16, 24, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(48, 5)

    def forward(self, ids):
        out, _ = self.gru(self.embed(ids))
        return self.fc(out[:, -1])


torch.manual_seed(5)
model = Intent()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for step in range(40):
    y = torch.randint(0, 5, (32,))
    ids = torch.randint(6, 60, (32, 110))
    ids[torch.arange(32), torch.randint(0, 27, (32,))] = 1 + y
    loss = nn.functional.cross_entropy(model(ids), y)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    if step % 10 == 0:
        print(step, loss.item())
