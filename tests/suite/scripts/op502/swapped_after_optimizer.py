"""The layer was exchanged for a wider one after the optimizer had been built."""

import torch
import torch.nn as nn


class Tagger(nn.Module):
    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.embed = nn.Embedding(12, 8)
        self.rnn = nn.LSTM(8, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 12)

    def widen(self, hidden: int) -> None:
        self.rnn = nn.LSTM(8, hidden, batch_first=True)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(self.embed(tokens))[0][..., :16])


torch.manual_seed(49)
model = Tagger()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
model.widen(24)
for i in range(60):
    tokens = torch.randint(12, (16, 15))
    logits = model(tokens)
    loss = nn.functional.cross_entropy(logits[:, 2:].flatten(0, 1), tokens[:, :-2].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if i % 15 == 0:
        print(i, loss.item())
