"""Epochs, a validation pass without gradient, early stopping, a scheduler that watches the validation loss."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class Net(nn.Module):
    def __init__(self, n_features, hidden=24):
        super().__init__()
        self.norm = nn.LayerNorm(n_features)
        self.rnn = nn.GRU(n_features, hidden, num_layers=2, dropout=0.2, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x):
        return self.head(self.rnn(self.norm(x))[0][:, -1]).squeeze(-1)


torch.manual_seed(73)
x = torch.randn(360, 8, 4)
data = TensorDataset(x, x[:, -3:, :2].sum((1, 2)).sign())
train, valid = random_split(data, [300, 60])
model = Net(4)
optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
best, patience = float("inf"), 5
for epoch in range(5):
    model.train()
    for xb, yb in DataLoader(train, batch_size=20, shuffle=True):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(xb), yb).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        losses = [nn.functional.mse_loss(model(a), b).item() for a, b in DataLoader(valid, 60)]
    scheduler.step(losses[0])
    best, patience = (losses[0], 5) if losses[0] < best else (best, patience - 1)
    print(f"epoch {epoch} validation {losses[0]:.3f} best {best:.3f}")
    if patience == 0:
        break
