"""A GRU cell in a loop; the detach() was added to silence "backward through the graph a second time"."""

import torch
from torch import nn


class Decoder(nn.Module):
    def __init__(self, n_in=5, n_hid=32):
        super().__init__()
        self.n_hid = n_hid
        self.cell = nn.GRUCell(n_in, n_hid)
        self.out = nn.Linear(n_hid, n_in)

    def forward(self, x):
        h = torch.zeros(x.size(0), self.n_hid)
        logits = []
        for t in range(x.size(1)):
            h = self.cell(x[:, t], h.detach())
            logits.append(self.out(h))
        return torch.stack(logits, dim=1)


torch.manual_seed(0)
model = Decoder()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for it in range(50):
    tok = torch.randint(5, (16, 12))
    x = nn.functional.one_hot(tok, 5).float()
    loss = nn.functional.cross_entropy(model(x)[:, 2:].flatten(0, 1), tok[:, :-2].flatten())
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 10 == 0:
        print(it, loss.item())
