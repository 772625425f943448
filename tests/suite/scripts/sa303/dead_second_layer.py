# the first layer works; in the second all input weights came out negative
import torch
import torch.nn as nn

torch.manual_seed(28)
rnn = nn.RNN(5, 24, num_layers=2, nonlinearity="relu")
rnn.weight_ih_l1.data = -rnn.weight_ih_l1.data.abs()
rnn.weight_hh_l1.data = -rnn.weight_hh_l1.data.abs()
rnn.bias_ih_l1.data.fill_(-0.1)
rnn.bias_hh_l1.data.fill_(-0.1)
readout = nn.Linear(24, 1)
opt = torch.optim.SGD([{"params": rnn.parameters()}, {"params": readout.parameters()}], lr=0.01)
for it in range(50):
    x = torch.randn(15, 8, 5)
    y = x.mean((0, 2)).unsqueeze(1)
    loss = nn.functional.mse_loss(readout(rnn(x)[0]).mean(0), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 10 == 0:
        print(it, loss.item())
