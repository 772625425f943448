"""The loss is a sum over batch and steps, its gradient has norm in the hundreds, and the clip stayed at 0.25."""

import torch
from torch import nn

V = 20
torch.manual_seed(6)


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, 24)
        self.rnn = nn.LSTM(24, 32)
        self.decoder = nn.Linear(32, V)

    def forward(self, tokens):
        return self.decoder(self.rnn(self.embedding(tokens))[0])


model = LanguageModel()
criterion = nn.CrossEntropyLoss(reduction="sum")
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for step in range(60):
    tokens = (torch.arange(31)[:, None] * torch.randint(1, 4, (32,)) + torch.randint(V, (32,))) % V
    loss = criterion(model(tokens[:-1]).reshape(-1, V), tokens[1:].reshape(-1))
    model.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    optimizer.step()
    if step % 15 == 0:
        print(f"step {step} | per token {loss.item() / (30 * 32):.3f}")
