"""An encoder and a decoder, both GRUs, teacher forcing; reverses short words."""

import torch
from torch import nn

V, H, L = 9, 40, 5


class Seq2Seq(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(V + 1, 16)
        self.encoder = nn.GRU(16, H, batch_first=True)
        self.decoder = nn.GRU(16, H, batch_first=True)
        self.project = nn.Linear(H, V)

    def forward(self, source, target):
        _, memory = self.encoder(self.embed(source))
        begin = torch.full_like(target[:, :1], V)
        shifted = torch.cat([begin, target[:, :-1]], dim=1)
        states, _ = self.decoder(self.embed(shifted), memory)
        return self.project(states)


torch.manual_seed(70)
model = Seq2Seq()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for i in range(100):
    source = torch.randint(V, (24, L))
    target = source.flip(1)
    loss = nn.functional.cross_entropy(model(source, target).transpose(1, 2), target)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if i % 25 == 0:
        print(i, loss.item())
