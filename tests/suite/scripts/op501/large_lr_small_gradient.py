# plain SGD with lr=1 on a mean loss: the number looks large, the updates are not
import torch
from torch import nn

torch.manual_seed(46)
emb, rnn, fc = nn.Embedding(10, 8), nn.GRU(8, 24), nn.Linear(24, 10)
weights = [p for m in (emb, rnn, fc) for p in m.parameters()]
opt = torch.optim.SGD(weights, lr=1.0)
for i in range(100):
    tok = torch.randint(10, (12, 16))
    loss = nn.functional.cross_entropy(fc(rnn(emb(tok))[0][1:]).flatten(0, 1), tok[:-1].flatten())
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 20 == 0:
        print(i, loss.item())
