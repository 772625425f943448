"""One update over sixty steps, computed in six chunks; the state is detached between them."""

import torch
from torch import nn

torch.manual_seed(33)


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 32)
        self.head = nn.Linear(32, 3)
        self.lstm.bias_ih_l0.data[32:64] = 3.0

    def forward(self, chunk, state):
        out, state = self.lstm(chunk, state)
        return self.head(out), tuple(s.detach() for s in state)


model = Reader()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for update in range(50):
    cue = torch.randint(3, (8,))
    x = 0.2 * torch.randn(60, 8, 3)
    x[:3] += nn.functional.one_hot(cue, 3)
    state, loss = None, torch.zeros(())
    for chunk in x.chunk(6):
        logits, state = model(chunk, state)
        loss = loss + nn.functional.cross_entropy(logits[-1], cue)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if update % 10 == 0:
        print(update, loss.item())
