"""An Elman network written out in full, for parity over eighty bits."""

import torch
import torch.nn as nn


class ElmanNet(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(ElmanNet, self).__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(input_size, hidden_size)
        self.h2h = nn.Linear(hidden_size, hidden_size)
        self.h2o = nn.Linear(hidden_size, output_size)

    def step(self, x, hidden):
        return torch.tanh(self.i2h(x) + self.h2h(hidden))

    def forward(self, bits):
        hidden = torch.zeros(bits.size(0), self.hidden_size)
        for t in range(bits.size(1)):
            hidden = self.step(bits[:, t], hidden)
        return self.h2o(hidden)


torch.manual_seed(42)
rnn = ElmanNet(1, 32, 1)
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(rnn.parameters(), lr=0.05)
for n_iter in range(1, 41):
    bits = torch.randint(0, 2, (16, 80, 1)).float()
    parity = bits.sum(1) % 2
    rnn.zero_grad()
    loss = criterion(rnn(bits), parity)
    loss.backward()
    optimizer.step()
    if n_iter % 20 == 0:
        print("iter", n_iter, "loss", loss.item())
