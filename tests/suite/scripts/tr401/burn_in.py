# the state is warmed up without gradient over ten steps, then thirty are learned from, as in replay of stored episodes
import torch
from torch import nn

torch.manual_seed(73)
lstm, q = nn.LSTM(3, 24, batch_first=True), nn.Linear(24, 2)
opt = torch.optim.Adam([*lstm.parameters(), *q.parameters()], lr=1e-3)
for step in range(60):
    x = torch.randn(16, 40, 3)
    value = torch.stack([x[..., 0], x.roll(1, 1)[..., 1]], dim=-1)
    with torch.no_grad():
        _, state = lstm(x[:, :10])
    out, _ = lstm(x[:, 10:], state)
    loss = nn.functional.smooth_l1_loss(q(out), value[:, 10:])
    opt.zero_grad()
    loss.backward()
    opt.step()
