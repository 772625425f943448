# encoder and decoder have their own optimizers; only one of them is cleared
import torch
import torch.nn.functional as F
from torch import nn


class Encoder(nn.Module):
    def __init__(self, v, d):
        super().__init__()
        self.e = nn.Embedding(v, d)
        self.r = nn.GRU(d, d)

    def forward(self, s):
        return self.r(self.e(s))


class AttnDecoder(nn.Module):
    def __init__(self, v, d):
        super().__init__()
        self.e = nn.Embedding(v + 1, d)
        self.cell = nn.GRUCell(2 * d, d)
        self.o = nn.Linear(2 * d, v)

    def forward(self, tgt_in, memory, h):
        logits = []
        for y in tgt_in:
            a = torch.softmax(torch.einsum("sbd,bd->sb", memory, h) / memory.size(-1) ** 0.5, 0)
            ctx = torch.einsum("sb,sbd->bd", a, memory)
            h = self.cell(torch.cat([self.e(y), ctx], -1), h)
            logits.append(self.o(torch.cat([h, ctx], -1)))
        return torch.stack(logits)


torch.manual_seed(40)
V, D, L = 9, 32, 6
enc, dec = Encoder(V, D), AttnDecoder(V, D)
enc_opt = torch.optim.Adam(enc.parameters(), lr=2e-3)
dec_opt = torch.optim.Adam(dec.parameters(), lr=2e-3)
for it in range(80):
    src = torch.randint(0, V, (L, 40))
    tgt = (src + 1) % V
    inp = torch.cat([torch.full((1, 40), V), tgt[:-1]])
    dec_opt.zero_grad()
    mem, h = enc(src)
    loss = F.cross_entropy(dec(inp, mem, h[0]).flatten(0, 1), tgt.flatten())
    loss.backward()
    enc_opt.step()
    dec_opt.step()
    if it % 50 == 0:
        print(it, round(loss.item(), 3))
