"""A ReLU recurrence started at 1.4 times the identity: forty steps multiply the gradient by a million."""

import torch
from torch import nn


class ReluMemory(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(2, 40, nonlinearity="relu", batch_first=True)
        self.fc = nn.Linear(40, 1)
        with torch.no_grad():
            self.rnn.weight_hh_l0.copy_(1.4 * torch.eye(40))
            self.rnn.bias_ih_l0.zero_()
            self.rnn.bias_hh_l0.zero_()

    def forward(self, x):
        return self.fc(self.rnn(x)[1][0])


torch.manual_seed(0)
model = ReluMemory()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
for step in range(50):
    x = torch.rand(16, 40, 2)
    y = x.mean(1).sum(1, keepdim=True)
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 10 == 0:
        print(step, loss.item())
