"""Denoise variable-length signals. Packs for speed, then averages the error."""

import math

import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence, pad_sequence


def sample(gen):
    n = int(torch.randint(6, 40, (1,), generator=gen))
    f = 0.2 + 0.4 * torch.rand(1, generator=gen)
    ph = 2 * math.pi * torch.rand(1, generator=gen)
    clean = 1.5 + torch.sin(f * torch.arange(n) + ph)
    return clean + 0.5 * torch.randn(n, generator=gen), clean


class Denoiser(nn.Module):
    def __init__(self, h=32):
        super().__init__()
        self.rnn = nn.GRU(1, h)
        self.proj = nn.Linear(h, 1)

    def forward(self, seqs):
        packed = pack_sequence([s[:, None] for s in seqs], enforce_sorted=False)
        out, _ = self.rnn(packed)
        out, lens = pad_packed_sequence(out)
        return self.proj(out)[..., 0], lens


def main(steps=60):
    gen = torch.Generator().manual_seed(4)
    torch.manual_seed(4)
    model = Denoiser()
    opt = torch.optim.RMSprop(model.parameters(), lr=2e-3)
    for step in range(steps):
        noisy, clean = zip(*[sample(gen) for _ in range(32)])
        pred, _ = model(noisy)
        target = pad_sequence(clean)  # zeros beyond the end
        loss = ((pred - target) ** 2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 40 == 0:
            print(f"step {step} mse {loss.item():.4f}")


main()
