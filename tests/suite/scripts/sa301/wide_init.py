# N(0, 1) for all weights, as in a textbook's listing
import torch
from torch import nn

torch.manual_seed(15)
net = nn.RNN(8, 100)
head = nn.Linear(100, 8)
for p in list(net.parameters()) + list(head.parameters()):
    nn.init.normal_(p)
opt = torch.optim.SGD([*net.parameters(), *head.parameters()], lr=1e-3)
for it in range(50):
    tok = torch.randint(8, (21, 16))
    x = nn.functional.one_hot(tok, 8).float()
    y, _ = net(x[:-1])
    loss = nn.functional.cross_entropy(head(y).flatten(0, 1), tok[:-1].flatten())
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    opt.step()
    if it % 10 == 0:
        print(it, loss.item())
