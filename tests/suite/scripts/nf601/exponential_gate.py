"""An exponential input gate without a stabiliser: finite at first, infinite as soon as the inputs grow."""

import torch
from torch import nn


class ExpGate(nn.Module):
    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__()
        self.value = nn.Linear(n_in, n_hidden)
        self.gate = nn.Linear(n_in, n_hidden)
        self.back = nn.Linear(n_hidden, n_hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.zeros(x.shape[1], self.back.out_features)
        for x_t in x:
            i = self.gate(x_t).exp()
            h = 0.5 * torch.tanh(self.back(h)) + i * torch.tanh(self.value(x_t)) / (1 + i)
        return h


torch.manual_seed(59)
layer, out = ExpGate(2, 16), nn.Linear(16, 1)
opt = torch.optim.SGD([*layer.parameters(), *out.parameters()], lr=0.01)
for i in range(30):
    x = torch.randn(10, 8, 2) * (1.0 if i < 15 else 400.0)
    loss = nn.functional.smooth_l1_loss(out(layer(x)), x[-1, :, :1].tanh())
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 6 == 0:
        print(i, loss.item())
