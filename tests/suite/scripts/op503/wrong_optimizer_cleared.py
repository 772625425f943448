"""Two generators, two optimizers, and zero_grad called on the wrong one."""

import torch
from torch import nn

torch.manual_seed(54)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(2, 24)
        self.out = nn.Linear(24, 1)

    def forward(self, z):
        return self.out(self.rnn(z)[0])


generator, decoy = Generator(), Generator()
optimizer = torch.optim.Adam(generator.parameters(), lr=1e-3)
other = torch.optim.Adam(decoy.parameters(), lr=1e-3)
for i in range(60):
    z = torch.randn(10, 16, 2)
    target = z[..., :1].cumsum(0) * 0.2
    other.zero_grad()
    loss = nn.functional.mse_loss(generator(z), target)
    loss.backward()
    optimizer.step()
    if i % 20 == 0:
        print(i, loss.item())
