"""A small sequence autoencoder: packed input in, GRU code in the middle, every symbol scored, KL on top."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

torch.manual_seed(76)
V, H, Z = 8, 32, 8


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(V, 12)
        self.enc = nn.GRU(12, H)
        self.mu, self.logvar = nn.Linear(H, Z), nn.Linear(H, Z)
        self.start = nn.Linear(Z, H)
        self.dec = nn.GRU(12, H)
        self.out = nn.Linear(H, V)

    def forward(self, x, lengths):
        _, h = self.enc(pack_padded_sequence(self.emb(x), lengths, enforce_sorted=False))
        mu, logvar = self.mu(h[0]), self.logvar(h[0])
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        states, _ = self.dec(self.emb(x[:-1]), torch.tanh(self.start(z)).unsqueeze(0))
        return self.out(states), mu, logvar


vae = VAE()
opt = torch.optim.Adam(vae.parameters(), lr=5e-3)
for i in range(80):
    lengths = torch.randint(4, 10, (16,))
    x = (torch.arange(9)[:, None] + torch.randint(1, V, (16,))) % (V - 1) + 1
    x[torch.arange(9)[:, None] >= lengths] = 0
    logits, mu, logvar = vae(x, lengths)
    nll = nn.functional.cross_entropy(logits.flatten(0, 1), x[1:].flatten(), ignore_index=0)
    kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1).mean()
    opt.zero_grad()
    (nll + 0.02 * kl).backward()
    opt.step()
    if i % 20 == 0:
        print(i, nll.item(), kl.item())
