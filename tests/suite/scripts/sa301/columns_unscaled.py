"""A character model with states as columns, after the hundred lines of numpy; its weights lost their scale of 0.01."""

import torch
from torch.nn import functional as F

torch.manual_seed(0)
text = "the quick brown fox jumps over the lazy dog. pack my box with five dozen liquor jugs. " * 10
chars = sorted(set(text))
data = torch.tensor([chars.index(c) for c in text])
H, V, T = 64, len(chars), 25

Wxh = torch.randn(H, V, requires_grad=True)
Whh = torch.randn(H, H, requires_grad=True)
Why = (0.01 * torch.randn(V, H)).requires_grad_()
bh = torch.zeros(H, 1, requires_grad=True)
by = torch.zeros(V, 1, requires_grad=True)
params = [Wxh, Whh, Why, bh, by]
optimizer = torch.optim.Adagrad(params, lr=0.02)

hprev = torch.zeros(H, 1)
for n in range(30):
    hs, loss = hprev, 0
    for t in range(n * T, (n + 1) * T):
        xs = torch.zeros(V, 1)
        xs[data[t]] = 1
        hs = torch.tanh(Wxh @ xs + Whh @ hs + bh)
        loss = loss + F.cross_entropy((Why @ hs + by).t(), data[t + 1 : t + 2])
    hprev = hs.detach()
    optimizer.zero_grad()
    loss.backward()
    for p in params:
        p.grad.clamp_(-5, 5)
    optimizer.step()
    if n % 10 == 0:
        print(n, loss.item() / T)
