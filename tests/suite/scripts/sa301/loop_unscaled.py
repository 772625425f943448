"""Daily prices around four thousand, straight into a hand-written tanh recurrence."""

import torch
import torch.nn as nn


class PriceRNN(nn.Module):
    def __init__(self, hidden_dim=24):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.Wx = nn.Linear(1, hidden_dim)
        self.Wh = nn.Linear(hidden_dim, hidden_dim)
        self.Wy = nn.Linear(hidden_dim, 1)

    def forward(self, prices):
        h = torch.zeros(prices.shape[0], self.hidden_dim)
        outputs = []
        for t in range(prices.shape[1]):
            h = torch.tanh(self.Wx(prices[:, t]) + self.Wh(h))
            outputs.append(self.Wy(h))
        return torch.stack(outputs, dim=1)


torch.manual_seed(16)
series = 4000 + torch.cumsum(10 * torch.randn(400), 0)
windows = series.unfold(0, 21, 5).unsqueeze(-1)
targets = (windows[:, 1:] - windows[:, :-1]).sign()
model = PriceRNN()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(40):
    pick = torch.randperm(len(windows))[:16]
    loss = nn.functional.mse_loss(model(windows[pick, :-1]), targets[pick])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 10 == 0:
        print(epoch, loss.item())
