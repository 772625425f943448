# short packed sentences of very different length: no gradient past an end is no underflow
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

torch.manual_seed(10)
emb, rnn, fc = nn.Embedding(30, 12), nn.RNN(12, 24, nonlinearity="relu"), nn.Linear(24, 2)
opt = torch.optim.Adam([p for m in (emb, rnn, fc) for p in m.parameters()], lr=3e-3)
for it in range(60):
    sents = [torch.randint(0, 30, (int(n),)) for n in torch.randint(2, 9, (16,))]
    target = torch.tensor([int((s < 6).any()) for s in sents])
    packed = pack_sequence([emb(s) for s in sents], enforce_sorted=False)
    _, h = rnn(packed)
    loss = nn.functional.cross_entropy(fc(h[0]), target)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 20 == 0:
        print(it, loss.item())
