"""RMSprop with lr=0.5 on a character model."""

import torch
from torch import nn

TEXT = "a stitch in time saves nine; " * 80
CHARS = sorted(set(TEXT))
IDS = torch.tensor([CHARS.index(c) for c in TEXT])


class CharRNN(nn.Module):
    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, 12)
        self.rnn = nn.RNN(12, 32)
        self.output = nn.Linear(32, vocab)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.output(self.rnn(self.embedding(tokens))[0])


torch.manual_seed(45)
model = CharRNN(len(CHARS))
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.5)
for step in range(60):
    starts = torch.randint(0, len(IDS) - 21, (16,)).tolist()
    window = torch.stack([IDS[s : s + 21] for s in starts], dim=1)
    loss = nn.functional.cross_entropy(model(window[:-1]).flatten(0, 1), window[1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(step, loss.item())
