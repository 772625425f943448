import torch
import torch.nn as nn

torch.manual_seed(0)
V = 15


class Seq2Seq(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(V, 24)
        self.encoder = nn.LSTM(24, 32, batch_first=True)
        self.decoder = nn.LSTM(24, 32, batch_first=True)
        self.out = nn.Linear(32, V)

    def forward(self, src, tgt):
        _, (h, c) = self.encoder(self.emb(src))
        dec, _ = self.decoder(self.emb(tgt), (h.detach(), c.detach()))
        return self.out(dec)


m = Seq2Seq()
opt = torch.optim.Adam(m.parameters(), lr=2e-3)
for i in range(100):
    src = torch.randint(1, V, (16, 10))
    tgt = src.flip(1)
    inp = torch.cat([torch.zeros(16, 1, dtype=torch.long), tgt[:, :-1]], 1)
    loss = nn.functional.cross_entropy(m(src, inp).reshape(-1, V), tgt.reshape(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
