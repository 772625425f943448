"""A stateful language model: the state is detached between updates, as it must be, and flows freely inside each."""

import torch
from torch import nn

TEXT = "one two three four five six seven eight nine ten " * 200
CHARS = sorted(set(TEXT))
STREAM = torch.tensor([CHARS.index(c) for c in TEXT])[: 8 * 1200].view(8, 1200)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(len(CHARS), 12)
        self.rnn = nn.LSTM(12, 40, batch_first=True)
        self.out = nn.Linear(40, len(CHARS))

    def forward(self, ids, hidden):
        y, hidden = self.rnn(self.emb(ids), hidden)
        return self.out(y), hidden


def repackage(hidden):
    return tuple(h.detach() for h in hidden)


torch.manual_seed(0)
model = Model()
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
hidden = None
for i in range(60):
    a = (i % 23) * 50
    logits, hidden = model(STREAM[:, a : a + 50], hidden)
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), STREAM[:, a + 1 : a + 51].flatten())
    hidden = repackage(hidden)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 15 == 0:
        print(i, loss.item())
