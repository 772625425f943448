# time first by default, every step scored, a batch larger than the sequence is long
import torch
from torch import nn

torch.manual_seed(69)
gru, out = nn.GRU(4, 20), nn.Linear(20, 4)
opt = torch.optim.Adam([*gru.parameters(), *out.parameters()], lr=8e-3)
for i in range(70):
    tok = torch.randint(4, (7, 40))
    x = nn.functional.one_hot(tok, 4).float()
    states, last = gru(x)
    loss = nn.functional.cross_entropy(out(states[1:]).flatten(0, 1), tok[:-1].flatten())
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 20 == 0:
        print(i, loss.item())
