"""A ReLU recurrence started at the identity (IRNN): the gradient keeps its size over sixty steps."""

import torch
from torch import nn

torch.manual_seed(3)


class IRNN(nn.Module):
    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__()
        self.rnn = nn.RNN(n_in, n_hidden, nonlinearity="relu", batch_first=True)
        self.out = nn.Linear(n_hidden, 1)
        nn.init.eye_(self.rnn.weight_hh_l0)
        nn.init.normal_(self.rnn.weight_ih_l0, std=0.02)
        nn.init.zeros_(self.rnn.bias_ih_l0)
        nn.init.zeros_(self.rnn.bias_hh_l0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(x)[0][:, -1])


model = IRNN(2, 50)
optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
for it in range(60):
    x = torch.rand(20, 60, 2)
    y = x[..., 0].mean(1, keepdim=True)
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if it % 20 == 0:
        print(it, loss.item())
