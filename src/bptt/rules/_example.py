"""What a rule's `bad()` and `good()` build: a small model with its loop, which the pages show and the tests run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@dataclass(eq=False)
class Example:
    """A model and the loop that trains it, in the plainest form. A remedy may change the model or the optimizer.

    Attributes:
        model: the model.
        loss: one forward pass: from the model to the loss. It draws its own data.
        optimizer: None for a script whose loop never steps.
        updates: how many to train.
        clip: `max_norm` of `clip_grad_norm_`; None to leave gradients alone.
        clears: whether gradients are cleared before each update.

    Example:
        >>> example = adding(nn.GRU(2, 8), steps=10)
        >>> example.updates = 2
        >>> example.train()
        >>> len(example.losses)
        2
    """

    model: nn.Module
    loss: Callable[[nn.Module], Tensor]
    optimizer: Optimizer
    updates: int = 12
    clip: float | None = None
    clears: bool = True

    def __post_init__(self) -> None:
        self.losses: list[float] = []

    def train(self) -> None:
        """The whole loop."""
        for _ in range(self.updates):
            self.update()

    def update(self) -> None:
        """Clear, forward, backward, clip, step."""
        if self.clears:
            self.optimizer.zero_grad()
        loss = self.loss(self.model)
        loss.backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.losses.append(loss.item())


class Reader(nn.Module):
    """A recurrent layer and a linear read-out of each step, `[T, B, I]` to `[T, B, outputs]`."""

    def __init__(self, rnn: nn.RNNBase, outputs: int = 1) -> None:
        super().__init__()
        self.rnn = rnn
        self.readout = nn.Linear(rnn.hidden_size, outputs)

    def forward(self, x: Any, state: Any = None) -> Any:
        """The read-out of every step, and the last state."""
        y, state = self.rnn(x, state)
        return self.readout(y), state


def adding(
    rnn: nn.RNNBase, *, steps: int, scale: float = 1.0, lr: float = 0.01, **options: Any
) -> Example:
    """The adding problem: sum the two marked numbers of a sequence; the loss reads the last step.

    The numbers are `scale` times larger than the published ones, the target is not.
    """
    return example(Reader(rnn), lambda model: last_step_loss(model, steps, scale), lr=lr, **options)


def example(
    model: nn.Module,
    loss: Callable[[nn.Module], Tensor],
    *,
    lr: float = 0.01,
    optimizer: Callable[..., Optimizer] = torch.optim.SGD,
    **options: Any,
) -> Example:
    """An example whose optimizer owns all parameters of the model."""
    return Example(model, loss, optimizer(model.parameters(), lr=lr), **options)


def last_step_loss(model: nn.Module, steps: int, scale: float = 1.0, batch: int = 8) -> Tensor:
    """Squared error at the last step of the adding problem."""
    x, target = adding_batch(steps, batch)
    return (model(x * torch.tensor([scale, 1.0]))[0][-1, :, 0] - target).square().mean()


def adding_batch(steps: int, batch: int) -> tuple[Tensor, Tensor]:
    """Inputs `[T, B, 2]`, numbers in [0, 1] beside two markers, and targets `[B]`."""
    numbers, marks = torch.rand(steps, batch), torch.zeros(steps, batch)
    marks[torch.randint(steps // 2, (batch,)), torch.arange(batch)] = 1
    marks[torch.randint(steps // 2, steps, (batch,)), torch.arange(batch)] = 1
    return torch.stack([numbers, marks], -1), (numbers * marks).sum(0)


def every_step_loss(model: nn.Module, steps: int, batch: int = 8) -> Tensor:
    """Squared error of forecasting a noisy wave one step ahead, at every step."""
    phase, time = torch.rand(batch) * 6.28, torch.arange(steps + 1).unsqueeze(1)
    wave = (torch.sin(0.3 * time + phase) + 0.1 * torch.randn(steps + 1, batch)).unsqueeze(-1)
    return (model(wave[:-1])[0] - wave[1:]).square().mean()


@torch.no_grad()
def orthogonal_(rnn: nn.RNNBase, gain: float = 1.0) -> nn.RNNBase:
    """Make every gate's block of every recurrent matrix orthogonal, times `gain`."""
    for name, weight in rnn.named_parameters():
        if name.startswith("weight_hh"):
            for block in weight.split(rnn.hidden_size):
                nn.init.orthogonal_(block, gain)
    return rnn


@torch.no_grad()
def gate_bias_(rnn: nn.RNNBase, gate: int, value: float) -> nn.RNNBase:
    """Set the bias of one gate, by its place in torch's order (LSTM: i f g o; GRU: r z n), in every layer."""
    H = rnn.hidden_size
    for name, bias in rnn.named_parameters():
        if name.startswith("bias"):
            bias[gate * H : (gate + 1) * H] = value if name.startswith("bias_ih") else 0.0
    return rnn
