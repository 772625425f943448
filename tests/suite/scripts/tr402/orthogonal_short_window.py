# orthogonal tanh RNN on a stream, bptt = 4
import torch
import torch.nn as nn

torch.manual_seed(37)
bptt, batch = 4, 10
rnn = nn.RNN(1, 48, batch_first=True)
nn.init.orthogonal_(rnn.weight_hh_l0)
nn.init.normal_(rnn.weight_ih_l0, std=0.1)
nn.init.zeros_(rnn.bias_ih_l0)
nn.init.zeros_(rnn.bias_hh_l0)
lin = nn.Linear(48, 1)
signal = torch.randn(batch, 800, 1)
target = torch.roll(signal, 12, dims=1)
optimizer = torch.optim.SGD([*rnn.parameters(), *lin.parameters()], lr=0.02, momentum=0.9)
hidden = torch.zeros(1, batch, 48)
for start in range(12, 400, bptt):
    hidden = hidden.detach()
    out, hidden = rnn(signal[:, start : start + bptt], hidden)
    loss = ((lin(out) - target[:, start : start + bptt]) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if start % 100 == 0:
        print(start, loss.item())
