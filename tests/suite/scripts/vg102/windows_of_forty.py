"""The same kind of character model on windows of 40 characters: a fair share of them is within reach."""

import torch
from torch import nn

TEXT = "she sells sea shells by the sea shore, and the shells she sells are sea shells. " * 60
CHARS = sorted(set(TEXT))
IDS = torch.tensor([CHARS.index(c) for c in TEXT])

torch.manual_seed(0)
embed, lstm = nn.Embedding(len(CHARS), 16), nn.LSTM(16, 48, batch_first=True)
decode = nn.Linear(48, len(CHARS))
model = nn.ModuleList([embed, lstm, decode])
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
for step in range(80):
    starts = torch.randint(0, len(IDS) - 41, (16,))
    chunk = torch.stack([IDS[s : s + 41] for s in starts.tolist()])
    out, _ = lstm(embed(chunk[:, :-1]))
    loss = nn.functional.cross_entropy(decode(out).transpose(1, 2), chunk[:, 1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(step, loss.item())
