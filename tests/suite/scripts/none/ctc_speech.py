# bidirectional LSTM + CTC on made-up phoneme frames
import torch
from torch import nn

torch.manual_seed(71)
P, T, B = 5, 24, 8
prototypes = torch.randn(P + 1, 10)
net = nn.LSTM(10, 24, bidirectional=True)
out = nn.Linear(48, P + 1)
ctc = nn.CTCLoss(blank=0)
opt = torch.optim.Adam([*net.parameters(), *out.parameters()], lr=1e-2)
for i in range(50):
    labels = torch.randint(1, P + 1, (B, 6))
    frames = prototypes[labels.repeat_interleave(4, dim=1)].transpose(0, 1)
    frames = frames + 0.4 * torch.randn(T, B, 10)
    log_probs = out(net(frames)[0]).log_softmax(2)
    loss = ctc(log_probs, labels, torch.full((B,), T), torch.full((B,), 6))
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    opt.step()
    if i % 10 == 0:
        print(i, loss.item())
