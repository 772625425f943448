"""Bag-like sentiment, bidirectional GRU, packed unsorted batches; the mean of the outputs needs no mask, pads are 0."""

import torch
from torch import nn
from torch.nn.utils import rnn as R
from torch.utils.data import DataLoader


def make(n, g):
    out = []
    for _ in range(n):
        T = int(torch.randint(4, 60, (1,), generator=g))
        ids = torch.randint(1, 50, (T,), generator=g)
        s = int((ids < 10).sum() - ((ids >= 10) & (ids < 19)).sum())
        out.append((ids, float(s > 0)))
    return out


def collate(rows):
    ids, y = zip(*rows)
    n = torch.tensor([len(i) for i in ids])
    return R.pad_sequence(ids, batch_first=True), n, torch.tensor(y)


class Clf(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(50, 16, padding_idx=0)
        self.gru = nn.GRU(16, 24, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(48, 1)

    def forward(self, ids, n):
        p = R.pack_padded_sequence(self.emb(ids), n, batch_first=True, enforce_sorted=False)
        y, _ = R.pad_packed_sequence(self.gru(p)[0], batch_first=True)
        return self.fc(y.sum(1) / n[:, None]).squeeze(-1)


torch.manual_seed(2)
g = torch.Generator().manual_seed(2)
loader = DataLoader(make(1600, g), batch_size=32, shuffle=True, collate_fn=collate)
net = Clf()
opt = torch.optim.AdamW(net.parameters(), lr=4e-3)
lossf = nn.BCEWithLogitsLoss()
for ep in range(2):
    s = 0
    for ids, n, y in loader:
        loss = lossf(net(ids, n), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        s += loss.item()
    print(ep, round(s / len(loader), 4))
