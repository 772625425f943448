"""The mean over all columns: short sentences are averaged with a long tail of padding."""

import torch
import torch.nn as nn

PAD = 0


class MeanClassifier(nn.Module):
    def __init__(self, vocab=50, dim=16, hidden=24):
        super().__init__()
        self.embedding = nn.Embedding(vocab, dim, padding_idx=PAD)
        self.lstm = nn.LSTM(dim, hidden)
        self.classifier = nn.Linear(hidden, 2)

    def forward(self, tokens):
        states, _ = self.lstm(self.embedding(tokens))
        return self.classifier(states.mean(dim=0))


torch.manual_seed(42)
net = MeanClassifier()
optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
for it in range(60):
    tokens = torch.randint(1, 50, (20, 12))
    lengths = torch.randint(3, 21, (12,))
    lengths[0] = 20
    tokens[torch.arange(20)[:, None] >= lengths] = PAD
    labels = (tokens < 10).logical_and(tokens > 0).sum(0).gt(lengths // 5).long()
    loss = nn.functional.cross_entropy(net(tokens), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if it % 20 == 0:
        print(it, loss.item())
