# the adding problem, T=120, GRU, time-first
import torch
import torch.nn.functional as F

torch.manual_seed(7)
T, B, H = 120, 10, 32


def batch():
    values = torch.rand(T, B)
    marks = torch.zeros(T, B)
    first, second = torch.randint(0, T // 2, (B,)), torch.randint(T // 2, T, (B,))
    marks[first, torch.arange(B)] = 1.0
    marks[second, torch.arange(B)] = 1.0
    return torch.stack([values, marks], dim=2), (values * marks).sum(0)


gru = torch.nn.GRU(2, H)
readout = torch.nn.Linear(H, 1)
opt = torch.optim.RMSprop([*gru.parameters(), *readout.parameters()], lr=1e-3, alpha=0.9)

for it in range(40):
    x, y = batch()
    _, h = gru(x)
    loss = F.mse_loss(readout(h[0]).squeeze(1), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 10 == 9:
        print(it, loss.item())
