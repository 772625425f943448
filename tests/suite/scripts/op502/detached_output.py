"""The recurrent features are detached before the head: nothing of the loss comes back to them."""

import torch
from torch import nn

torch.manual_seed(50)


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(2, 24, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        features, _ = self.rnn(x)
        return self.mlp(features[:, -1].detach()).squeeze(1)


net = Regressor()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for i in range(60):
    x = torch.randn(16, 8, 2)
    loss = nn.functional.mse_loss(net(x), x[:, -4:, 0].sum(1))
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 20 == 0:
        print(i, loss.item())
