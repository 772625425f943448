import torch
import torch.nn as nn

# Tag every token with the token two places earlier; sentences of 200.
torch.manual_seed(9)
V, H, L = 12, 40, 200


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(V, 16)
        self.rnn = nn.RNN(16, H)
        self.out = nn.Linear(H, V)

    def forward(self, tokens):
        return self.out(self.rnn(self.emb(tokens))[0])


net = Tagger()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
crit = nn.CrossEntropyLoss()
for it in range(60):
    tokens = torch.randint(0, V, (L, 8))
    tags = torch.roll(tokens, 2, dims=0)
    scores = net(tokens)
    loss = crit(scores[2:].reshape(-1, V), tags[2:].reshape(-1))
    net.zero_grad()
    loss.backward()
    opt.step()
    if it % 20 == 0:
        print(it, loss.item())
