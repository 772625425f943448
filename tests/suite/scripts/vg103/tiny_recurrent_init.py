# "small random weights are safe": std 0.001 everywhere
import torch
import torch.nn as nn

torch.manual_seed(13)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru_like = nn.RNN(3, 50)
        self.fc = nn.Linear(50, 2)
        self.init_weights()

    def init_weights(self):
        for p in self.parameters():
            nn.init.normal_(p, 0.0, 0.001)

    def forward(self, x):
        return self.fc(self.gru_like(x)[1][-1])


model = Model()
optim = torch.optim.Adam(model.parameters(), lr=1e-4)
for i in range(50):
    x = torch.randn(60, 16, 3)
    y = (x[:10].mean(0)[:, 0] > 0).long()
    loss = nn.functional.cross_entropy(model(x), y)
    optim.zero_grad()
    loss.backward()
    optim.step()
    if i == 49:
        print("final loss", loss.item())
