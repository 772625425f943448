# min-char-rnn in torch: raw tensors, torch.autograd.grad, hand-made Adagrad, no torch.optim at all
import numpy as np
import torch

torch.manual_seed(42)
text = "the quick brown fox jumps over the lazy dog. pack my box with five dozen liquor jugs. " * 30
chars = sorted(set(text))
ix = {c: i for i, c in enumerate(chars)}
V, H, T, lr = len(chars), 64, 25, 0.1
P = {
    "Wxh": torch.randn(V, H) * 0.1,
    "Whh": torch.linalg.qr(torch.randn(H, H))[0],
    "Why": torch.randn(H, V) * 0.1,
    "bh": torch.zeros(H),
    "by": torch.zeros(V),
}
for v in P.values():
    v.requires_grad_(True)
mem = {k: torch.zeros_like(v) for k, v in P.items()}


def forward(p, inputs, targets, h):
    loss = 0.0
    for x, y in zip(inputs, targets):
        h = torch.tanh(p["Wxh"][x] + h @ p["Whh"] + p["bh"])
        logp = torch.log_softmax(h @ p["Why"] + p["by"], -1)
        loss = loss - logp[torch.arange(len(y)), y].mean()
    return loss / len(inputs), h


B = 8
data = torch.tensor([ix[c] for c in text])
data = data[: len(data) // B * B].view(B, -1).t()
pos, h = 0, torch.zeros(B, H)
smooth = np.log(V)
for it in range(200):
    if pos + T + 1 >= len(data):
        pos, h = 0, torch.zeros(B, H)
    loss, h = forward(P, data[pos : pos + T], data[pos + 1 : pos + T + 1], h)
    grads = torch.autograd.grad(loss, list(P.values()))
    with torch.no_grad():
        for (k, v), g in zip(P.items(), grads):
            g = g.clamp(-1, 1)
            mem[k] += g * g
            v -= lr * g / (mem[k].sqrt() + 1e-8)
    h = h.detach()
    pos += T
    smooth = 0.97 * smooth + 0.03 * loss.item()
    if it % 50 == 0:
        print(it, round(smooth, 4))
