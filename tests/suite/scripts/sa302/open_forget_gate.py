# forget bias 5 (as often advised for long sequences), gates still move with the input
import torch
from torch import nn

H = 40
torch.manual_seed(27)
lstm, fc = nn.LSTM(2, H), nn.Linear(H, 2)
with torch.no_grad():
    lstm.bias_ih_l0[H : 2 * H] = 5
opt = torch.optim.Adam([*lstm.parameters(), *fc.parameters()], lr=2e-3)
for it in range(60):
    y = torch.randint(2, (16,))
    x = torch.randn(60, 16, 2)
    x[:8, :, 0] += (2.0 * y - 1) * 1.5
    out, (h, c) = lstm(x)
    loss = nn.functional.cross_entropy(fc(h[0]), y)
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(lstm.parameters(), 1)
    opt.step()
    if it % 15 == 0:
        print(it, loss.item())
