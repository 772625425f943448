"""A GRU with slow units on a sensor stream; the trainer resets the graph every five samples."""

import torch
from torch import nn


class Trainer:
    def __init__(self, window: int):
        self.window = window
        self.gru = nn.GRU(2, 32)
        self.head = nn.Linear(32, 2)
        with torch.no_grad():
            self.gru.bias_ih_l0[32:64] = 3.5
        params = list(self.gru.parameters()) + list(self.head.parameters())
        self.optimizer = torch.optim.AdamW(params, lr=1e-3)

    def fit(self, stream: torch.Tensor) -> list[float]:
        state, losses = None, []
        smooth = torch.zeros_like(stream)
        for t in range(1, len(stream)):
            smooth[t] = 0.95 * smooth[t - 1] + 0.05 * stream[t]
        for x, y in zip(stream.split(self.window), smooth.split(self.window), strict=True):
            out, state = self.gru(x, state if state is None else state.detach())
            loss = nn.functional.mse_loss(self.head(out), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return losses


if __name__ == "__main__":
    torch.manual_seed(38)
    losses = Trainer(window=5).fit(torch.randn(500, 8, 2))
    print(losses[0], losses[-1])
