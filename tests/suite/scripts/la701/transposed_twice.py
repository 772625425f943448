# the loader already gives batch-first data to a batch_first layer; the transpose swaps what was right
import torch
from torch import nn

torch.manual_seed(66)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 12)
        self.gru = nn.GRU(12, 24, batch_first=True)
        self.out = nn.Linear(24, 2)

    def forward(self, tokens):
        x = self.embed(tokens).transpose(0, 1)
        states, _ = self.gru(x)
        return self.out(states[-1])


net = Net()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for i in range(60):
    tokens = torch.randint(30, (20, 8))
    y = (tokens[:, :6] < 4).any(1).long()
    loss = nn.functional.cross_entropy(net(tokens), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    if i % 20 == 0:
        print(i, loss.item())
