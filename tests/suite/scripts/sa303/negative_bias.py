"""A ReLU RNN whose biases were filled with -3 "to make it sparse": no unit ever fires."""

import torch
from torch import nn


class Sparse(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(4, 32, nonlinearity="relu", batch_first=True)
        self.fc = nn.Linear(32, 3)
        for n, p in self.rnn.named_parameters():
            if n.startswith("bias"):
                nn.init.constant_(p, -3.0)

    def forward(self, x):
        return self.fc(self.rnn(x)[0][:, -1])


torch.manual_seed(0)
model = Sparse()
opt = torch.optim.Adam(model.parameters(), lr=1e-3)
for i in range(50):
    x = torch.rand(16, 12, 4)
    y = x[:, -1, :3].argmax(1)
    loss = nn.functional.cross_entropy(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 10 == 0:
        print(i, loss.item())
