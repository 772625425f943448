import torch
import torch.nn as nn

torch.manual_seed(0)
V = 20
data = torch.randint(0, V, (4000,))
data[1::2] = data[::2]
emb, rnn, dec = nn.Embedding(V, 16), nn.LSTM(16, 32), nn.Linear(32, V)
opt = torch.optim.Adam([p for m in (emb, rnn, dec) for p in m.parameters()], 2e-3)
for i in range(100):
    ix = torch.randint(0, 3900, (12,))
    x = torch.stack([data[j : j + 30] for j in ix])
    y = torch.stack([data[j + 1 : j + 31] for j in ix])
    logits = dec(rnn(emb(x))[0])
    loss = nn.functional.cross_entropy(logits.view(-1, V), y.view(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
