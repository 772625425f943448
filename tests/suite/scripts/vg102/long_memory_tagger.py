# tag every step with the symbol seen twenty steps before; forget bias 3 keeps it alive
import torch
from torch import nn

torch.manual_seed(6)
V, H, L, LAG = 4, 48, 200, 20
emb = nn.Embedding(V, 8)
lstm = nn.LSTM(8, H)
out = nn.Linear(H, V)
lstm.bias_ih_l0.data[H : 2 * H] = 3.0
lstm.bias_hh_l0.data[H : 2 * H] = 0.0
everything = [p for m in (emb, lstm, out) for p in m.parameters()]
opt = torch.optim.Adam(everything, lr=2e-3)

for it in range(50):
    tok = torch.randint(0, V, (L, 8))
    logits = out(lstm(emb(tok))[0])
    loss = nn.functional.cross_entropy(logits[LAG:].flatten(0, 1), tok[:-LAG].flatten())
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(everything, 1.0)
    opt.step()
    if it % 10 == 0:
        print(it, loss.item())
