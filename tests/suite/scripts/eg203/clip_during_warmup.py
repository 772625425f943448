# the first dozen updates are clipped hard, then the threshold is out of reach
import torch
from torch import nn

torch.manual_seed(9)
rnn, fc = nn.RNN(2, 24), nn.Linear(24, 1)
weights = [*rnn.parameters(), *fc.parameters()]
opt = torch.optim.Adam(weights, lr=2e-2)
sched = torch.optim.lr_scheduler.LinearLR(opt, start_factor=0.3, total_iters=10)
for i in range(150):
    x = torch.randn(10, 16, 2)
    y = 3 + 0.5 * x[-2:].sum((0, 2)).unsqueeze(1)
    loss = nn.functional.mse_loss(fc(rnn(x)[1][0]), y)
    opt.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(weights, 1.5)
    opt.step()
    sched.step()
    if i % 15 == 0:
        print(i, f"{loss.item():.4f} {norm.item():.3f}")
