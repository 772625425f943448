import torch
from torch import nn


class LastStep(nn.Module):
    """nn.Sequential cannot unpack a tuple; this does it."""

    def forward(self, result):
        return result[0][:, -1]


torch.manual_seed(77)
model = nn.Sequential(
    nn.Linear(3, 8),
    nn.Tanh(),
    nn.RNN(8, 32, batch_first=True),
    LastStep(),
    nn.Dropout(0.1),
    nn.Linear(32, 2),
)
optimizer = torch.optim.NAdam(model.parameters(), lr=4e-3)
loss_fn = nn.CrossEntropyLoss()
for epoch in range(3):
    for _ in range(25):
        x = torch.randn(16, 7, 3)
        y = (x[:, -2:].sum((1, 2)) > 0).long()
        loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: {loss.item():.3f}")
