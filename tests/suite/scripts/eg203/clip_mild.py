"""The norm is usually one to three times the threshold: clipped often, never hard."""

import torch
from torch import nn

torch.manual_seed(8)


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 32, batch_first=True)
        self.fc = nn.Linear(32, 1)

    def forward(self, x):
        return self.fc(self.lstm(x)[0]).squeeze(-1)


model = Counter()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for step in range(60):
    events = (torch.rand(16, 20, 3) < 0.15).float()
    count = events[..., 0].cumsum(1)
    loss = nn.functional.mse_loss(model(events), count)
    optimizer.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step % 10 == 0:
        print(step, f"{loss.item():.3f}", f"{norm.item():.2f}")
