# energy load, next hour from the last eight; nothing special
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(5)
t = torch.arange(600.0)
load = torch.sin(t * 2 * torch.pi / 24) + 0.3 * torch.sin(t * 2 * torch.pi / 168)
load += 0.05 * torch.randn(600)
windows = load.unfold(0, 9, 1)
data = TensorDataset(windows[:, :8].unsqueeze(-1), windows[:, 8])
loader = DataLoader(data, batch_size=32, shuffle=True)


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(1, 32, batch_first=True)
        self.linear = nn.Linear(32, 1)

    def forward(self, window):
        output, (hidden, cell) = self.lstm(window)
        return self.linear(output[:, -1]).squeeze(-1)


model = Forecaster()
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
mse = nn.MSELoss()
for epoch in range(4):
    losses = []
    for xb, yb in loader:
        loss = mse(model(xb), yb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    print(f"epoch {epoch} train mse {sum(losses) / len(losses):.4f}")
