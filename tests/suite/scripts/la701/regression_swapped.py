"""A forecaster for windows [batch, time, 1]; an RNN with the default layout, read at [:, -1]."""

import torch
import torch.nn as nn

torch.manual_seed(67)


class Forecaster(nn.Module):
    def __init__(self, hidden: int = 24) -> None:
        super().__init__()
        self.rnn = nn.RNN(1, hidden, num_layers=2)
        self.linear = nn.Linear(hidden, 1)

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        states, _ = self.rnn(window)
        return self.linear(states[:, -1, :])


series = torch.sin(torch.arange(500.0) * 0.35) + 0.05 * torch.randn(500)
windows = series.unfold(0, 13, 1)
model = Forecaster()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for i in range(60):
    batch = windows[torch.randperm(len(windows))[:24]]
    prediction = model(batch[:, :12].unsqueeze(-1))
    loss = nn.functional.mse_loss(prediction, batch[:, 12:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if i % 20 == 0:
        print(i, loss.item())
