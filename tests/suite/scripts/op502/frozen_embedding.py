"""Pretrained word vectors are frozen; the recurrence above them trains."""

import torch
from torch import nn


class TextClassifier(nn.Module):
    def __init__(self, vectors: torch.Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=True)
        self.gru = nn.GRU(vectors.shape[1], 24, bidirectional=True, batch_first=True)
        self.linear = nn.Linear(48, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        _, h = self.gru(self.embedding(ids))
        return self.linear(torch.cat([h[0], h[1]], dim=1))


torch.manual_seed(52)
model = TextClassifier(torch.randn(60, 20))
trainable = [p for p in model.parameters() if p.requires_grad]
opt = torch.optim.AdamW(trainable, lr=4e-3)
for i in range(80):
    ids = torch.randint(60, (16, 10))
    y = (ids < 8).any(1).long()
    loss = nn.functional.cross_entropy(model(ids), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 20 == 0:
        print(i, loss.item())
