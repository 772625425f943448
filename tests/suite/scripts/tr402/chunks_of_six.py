"""A stream with long dependencies, forget gates open, and truncation after six steps."""

import torch
from torch import nn

H = 40
torch.manual_seed(0)


class Stream(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, H)
        self.fc = nn.Linear(H, 4)
        self.lstm.bias_ih_l0.data[H : 2 * H] = 4.0

    def forward(self, x, state):
        out, state = self.lstm(x, state)
        return self.fc(out), state


model = Stream()
opt = torch.optim.Adam(model.parameters(), lr=2e-3)
symbols = torch.randint(4, (1200, 8))
x = nn.functional.one_hot(symbols, 4).float()
state = None
for i in range(5, 120):
    now = slice(6 * i, 6 * i + 6)
    before = slice(6 * i - 20, 6 * i - 14)
    logits, state = model(x[now], state)
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), symbols[before].flatten())
    opt.zero_grad()
    loss.backward()
    opt.step()
    state = tuple(s.detach() for s in state)
    if i % 20 == 0:
        print(i, loss.item())
