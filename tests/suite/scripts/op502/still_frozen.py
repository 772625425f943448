# requires_grad was switched off for a first phase and never switched on again
import torch
from torch import nn

torch.manual_seed(48)
lstm, fc = nn.LSTM(3, 24), nn.Linear(24, 2)


def set_trainable(module, flag):
    for p in module.parameters():
        p.requires_grad = flag


set_trainable(lstm, False)
opt = torch.optim.Adam([p for m in (lstm, fc) for p in m.parameters()], lr=3e-3)
for phase in ("head", "all"):
    if phase == "all":
        set_trainable(fc, True)
    for i in range(40):
        x = torch.randn(9, 16, 3)
        y = (x[2:5, :, 0].sum(0) > 0).long()
        loss = nn.functional.cross_entropy(fc(lstm(x)[0][-1]), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(phase, loss.item())
