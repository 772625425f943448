"""A tanh RNN with an orthogonal recurrent matrix and a sequence it can span."""

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(4)
rnn = nn.RNN(5, 64, batch_first=True)
nn.init.orthogonal_(rnn.weight_hh_l0)
nn.init.normal_(rnn.weight_ih_l0, std=0.05)
for name, p in rnn.named_parameters():
    if "bias" in name:
        nn.init.zeros_(p)
fc = nn.Linear(64, 5)
params = list(rnn.parameters()) + list(fc.parameters())
opt = torch.optim.Adam(params, lr=1e-3)

for it in range(60):
    tok = torch.randint(5, (16, 30))
    out, hn = rnn(F.one_hot(tok, 5).float())
    loss = F.cross_entropy(fc(hn.squeeze(0)), tok[:, 0])
    opt.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(params, 1.0)
    opt.step()
    if it % 15 == 0:
        print(it, loss.item())
