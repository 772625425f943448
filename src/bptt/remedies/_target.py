"""What a remedy is applied to, and the reasons why it may not fit."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.optim import Optimizer

from bptt._errors import BpttError
from bptt.flow.record._names import Names


class RemedyError(BpttError):
    """A remedy that does not fit the model, or an argument that makes no sense; nothing was changed."""


@dataclass(eq=False)
class Target:
    """A model, the optimizers that train it, and the part of it that a remedy is meant for.

    Attributes:
        model: the module to change.
        optimizers: those that own its parameters; empty before training.
        site: a recurrent module or one of its sites (`rnn`, `rnn.l0`, `rnn.l0_reverse`); `""` for all of them.
        facts: what the one who prescribes knows of the run: `lag`, `steps`, the observed `norms`, …
    """

    model: nn.Module
    optimizers: tuple[Optimizer, ...] = ()
    site: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def layers(self) -> "Iterator[Layer]":
        """Every layer and direction of every recurrent module at the site.

        Raises:
            RemedyError: there is none.
        """
        names, found = Names(self.model), 0
        for module in self.model.modules():
            if not isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
                continue
            name = names(module) or ""
            for layer in _layers_of(name, module):
                if self.site in ("", name, layer.site):
                    found += 1
                    yield layer
        if not found:
            where = f"at {self.site!r}" if self.site else "in the model"
            raise RemedyError(f"there is no nn.RNN, nn.GRU, nn.LSTM or cell of theirs {where}")


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer and direction of a recurrent module, or a cell. G gates, H units, I inputs.

    Attributes:
        site: its name, as `flow.sites` has it.
        module: the module that holds the parameters.
        suffix: what its parameters' names end in: `_l0`, `_l1_reverse`; `""` for a cell.
        kind: `rnn_tanh`, `rnn_relu`, `gru` or `lstm`.
    """

    site: str
    module: nn.Module
    suffix: str
    kind: str

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.module.hidden_size)  # type: ignore[arg-type]

    def parameter(self, name: str) -> nn.Parameter | None:
        """`weight_hh` `[G·H, H]`, `weight_ih` `[G·H, I]`, `bias_ih`, `bias_hh` `[G·H]`; None without bias."""
        return getattr(self.module, f"{name}{self.suffix}", None)


def _layers_of(name: str, module: nn.Module) -> Iterator[Layer]:
    if isinstance(module, nn.RNNBase):
        kind = module.mode.lower()
        for layer in range(module.num_layers):
            for direction in ("", "_reverse")[: 1 + module.bidirectional]:
                end = f"l{layer}{direction}"
                yield Layer(f"{name}.{end}" if name else end, module, f"_{end}", kind)
    elif isinstance(module, nn.LSTMCell):
        yield Layer(name, module, "", "lstm")
    elif isinstance(module, nn.GRUCell):
        yield Layer(name, module, "", "gru")
    elif isinstance(module, nn.RNNCell):
        yield Layer(name, module, "", f"rnn_{module.nonlinearity}")
