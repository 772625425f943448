"""Weights and activations in float16 to save memory, no loss scaling: gradients fall below 6e-8 and become zero."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(6, 32, batch_first=True)
        self.fc = nn.Linear(32, 4)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.fc(out[:, -1])


torch.manual_seed(0)
model = Net().half()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(40):
    y = torch.randint(0, 4, (32,))
    x = 0.5 * torch.randn(32, 40, 6)
    x[:, 30:33, :4] += nn.functional.one_hot(y, 4)[:, None, :]
    logits = model(x.half())
    loss = nn.functional.cross_entropy(logits.float(), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(step, loss.item())
