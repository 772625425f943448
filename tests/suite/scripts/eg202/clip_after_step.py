"""Clips the gradient, but only after the step that should have been protected."""

import torch
from torch import nn


def clicks(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    signal = torch.randn(10, n, 2)
    if torch.rand(()) < 0.04:  # a crackle in the recording
        signal[:, torch.randint(n, (1,))] *= 300
    return signal, signal[-3:].sum(dim=(0, 2))


def main() -> None:
    torch.manual_seed(4)
    rnn = nn.RNN(2, 32, nonlinearity="relu")
    out = nn.Linear(32, 1)
    parameters = [*rnn.parameters(), *out.parameters()]
    optimizer = torch.optim.RMSprop(parameters, lr=5e-4)
    for update in range(150):
        signal, target = clicks(8)
        states, _ = rnn(signal)
        loss = (out(states[-1]).squeeze(1) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        nn.utils.clip_grad_norm_(parameters, max_norm=1.0)
        if update % 30 == 0:
            print(f"{update}: {loss.item():.4f}")


main()
