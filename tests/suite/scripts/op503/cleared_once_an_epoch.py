import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

# zero_grad stands one line too far out: once an epoch, not once a batch
torch.manual_seed(53)
x = torch.randn(320, 8, 2)
y = x[:, -3:].sum((1, 2))
loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
gru, fc = nn.GRU(2, 24, batch_first=True), nn.Linear(24, 1)
opt = torch.optim.Adam([*gru.parameters(), *fc.parameters()], lr=2e-3)

for epoch in range(4):
    opt.zero_grad()
    total = 0.0
    for xb, yb in loader:
        loss = nn.functional.mse_loss(fc(gru(xb)[0][:, -1]).squeeze(1), yb)
        loss.backward()
        opt.step()
        total += loss.item()
    print(epoch, total / len(loader))
