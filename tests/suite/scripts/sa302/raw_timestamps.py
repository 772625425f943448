"""Features of an event stream with the raw timestamp in seconds: all gates are at an end, and nothing moves them."""

import torch
from torch import nn


class EventNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.kind = nn.Embedding(8, 7)
        self.gru = nn.GRU(8, 32)
        self.out = nn.Linear(32, 2)

    def forward(self, kinds, stamps):
        x = torch.cat([self.kind(kinds), stamps.unsqueeze(-1)], -1)
        return self.out(self.gru(x)[0].mean(0))


torch.manual_seed(23)
net = EventNet()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(60):
    stamps = 20000 + 40000 * torch.rand(1, 24) + (60 * torch.rand(20, 24)).cumsum(0)
    kinds = torch.randint(0, 8, (20, 24))
    label = ((kinds == 0).sum(0) > (kinds == 1).sum(0)).long()
    loss = nn.functional.cross_entropy(net(kinds, stamps), label)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(step, loss.item())
