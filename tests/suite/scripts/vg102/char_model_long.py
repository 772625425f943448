"""A character model on windows of 240: every character is scored, but the memory is a dozen steps."""

import torch
from torch import nn

TEXT = (
    "the river that runs past the old mill turns twice before it meets the road, and the road "
    "that leaves the mill turns once before it meets the river; whoever walks along both of them "
    "will pass the same three elms, the same low wall, and the same two gates in the same order. "
) * 30
CHARS = sorted(set(TEXT))
IDS = torch.tensor([CHARS.index(c) for c in TEXT])


class CharModel(nn.Module):
    def __init__(self, n_chars, hidden=48):
        super().__init__()
        self.embed = nn.Embedding(n_chars, 16)
        self.lstm = nn.LSTM(16, hidden, batch_first=True)
        self.decode = nn.Linear(hidden, n_chars)

    def forward(self, ids, state=None):
        out, state = self.lstm(self.embed(ids), state)
        return self.decode(out), state


torch.manual_seed(0)
model = CharModel(len(CHARS))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for step in range(50):
    starts = torch.randint(0, len(IDS) - 241, (8,))
    chunk = torch.stack([IDS[s : s + 241] for s in starts])
    logits, _ = model(chunk[:, :-1])
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), chunk[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 10 == 0:
        print(f"{step} {loss.item() / 0.6931:.3f} bits/char")
