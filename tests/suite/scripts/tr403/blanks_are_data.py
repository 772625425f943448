"""A short copy task: after the pattern come blanks, all zeros, and the answer is due at the end. No padding here."""

import torch
from torch import nn


class Recall(nn.Module):
    def __init__(self, n_symbols: int = 4, hidden: int = 40) -> None:
        super().__init__()
        self.rnn = nn.LSTM(n_symbols, hidden, batch_first=True)
        self.out = nn.Linear(hidden, n_symbols)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(x)[0][:, -1])


torch.manual_seed(43)
model = Recall()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for update in range(80):
    cue = torch.randint(4, (16,))
    x = torch.zeros(16, 10, 4)
    x[torch.arange(16), torch.randint(0, 5, (16,)), cue] = 1.0
    loss = nn.functional.cross_entropy(model(x), cue)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if update % 20 == 0:
        print(update, loss.item())
