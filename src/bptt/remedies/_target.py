"""What a remedy is applied to, and the reasons why it may not fit."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.optim import Optimizer

from bptt._errors import BpttError
from bptt.cells import CELLS
from bptt.flow.record._names import Names


class RemedyError(BpttError):
    """A remedy that does not fit the model, or an argument that makes no sense; nothing was changed."""


def is_number(value: Any) -> bool:
    """Whether it is a finite number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any, least: int) -> bool:
    """Whether it is a whole number, from `least` on."""
    return isinstance(value, int) and is_number(value) and value >= least


def needed(optimizer: Optimizer | None, remedy: str) -> Optimizer:
    """The optimizer that a remedy acts on.

    Raises:
        RemedyError: none was given.
    """
    if optimizer is None:
        raise RemedyError(
            f"{remedy} acts on an optimizer, and none was given: {remedy}(model, optimizer=…)"
        )
    return optimizer


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

    def layers(self, *, whole: bool = False, own: bool = False) -> "Iterator[Layer]":
        """Every layer and direction of every recurrent module at the site.

        Args:
            whole: a site that is one layer of a module stands for all its layers, as where a cell is exchanged.
            own: a site may also name a parameter of a recurrence that was written by hand, `cell.h2h.weight`.

        Raises:
            RemedyError: there is none.
        """
        by_hand = _own(self.model, self.site) if own else None
        if by_hand is not None:
            yield by_hand
            return
        names, found = Names(self.model), 0
        for module in self.model.modules():
            if not isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
                continue
            name = names(module) or ""
            if isinstance(module, nn.RNNCellBase):
                name = name or type(module).__name__
            layers = list(_layers_of(name, module))
            at_site = [layer for layer in layers if self.site in ("", name, layer.site)]
            found += len(at_site)
            yield from layers if whole and at_site else at_site
        if not found:
            where = f"at {self.site!r}" if self.site else "in the model"
            hint = "; a recurrence written by hand goes by its weight's name" if own else ""
            raise RemedyError(
                f"there is no nn.RNN, nn.GRU, nn.LSTM or cell of theirs {where}{hint}"
            )

    def fitting(
        self, why_not: "Callable[[Layer], str]", *, whole: bool = False, own: bool = False
    ) -> "list[Layer]":
        """The layers at the site that `why_not` has nothing against.

        Raises:
            RemedyError: there is none; the message holds the reasons.
        """
        reasons = {layer: why_not(layer) for layer in self.layers(whole=whole, own=own)}
        fitting = [layer for layer, reason in reasons.items() if not reason]
        if not fitting:
            said = (f"{layer.site or layer.kind}: {reason}" for layer, reason in reasons.items())
            raise RemedyError("; ".join(said))
        return fitting

    def refusal(
        self, why_not: "Callable[[Layer], str]", *, whole: bool = False, own: bool = False
    ) -> str:
        """Why no layer fits; `""` if one does."""
        try:
            self.fitting(why_not, whole=whole, own=own)
        except RemedyError as reason:
            return str(reason)
        return ""


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer and direction of a recurrent module, or a cell. G gates, H units, I inputs.

    Attributes:
        site: its name, as `flow.sites` has it.
        module: the module that holds the parameters.
        suffix: what its parameters' names end in: `_l0`, `_l1_reverse`; `""` for a cell.
        kind: `rnn_tanh`, `rnn_relu`, `gru`, `lstm`, or `own` for a parameter of a recurrence written by hand.
        own: that parameter's name in its module; a matrix is a `weight_hh`, a vector a `bias_ih`.
    """

    site: str
    module: nn.Module
    suffix: str
    kind: str
    own: str = ""

    @property
    def hidden_size(self) -> int:
        """H; of a matrix by hand the smaller side, so that `[G·H, H]` is G blocks."""
        if self.own:
            return min(self.module._parameters[self.own].shape)  # type: ignore[union-attr]
        return int(self.module.hidden_size)  # type: ignore[arg-type]

    def parameter(self, name: str) -> Tensor | None:
        """`weight_hh` `[G·H, H]`, `weight_ih` `[G·H, I]`, `bias_ih`, `bias_hh` `[G·H]`; None without bias."""
        if self.own:
            own = self.module._parameters[self.own]
            is_bias = own is not None and own.dim() == 1
            return own if name == ("bias_ih" if is_bias else "weight_hh") else None
        return getattr(self.module, f"{name}{self.suffix}", None)

    def weight(self, name: str) -> Tensor:
        """The same, for one that is there and can be written to.

        Raises:
            RemedyError: the layer has none, or computes it from others (`torch.nn.utils.parametrize`, `weight_norm`).
        """
        full = f"{name}{self.suffix}"
        own = self.parameter(name) if self.own else self.module._parameters.get(full)
        if own is None:
            # Not asked for: a parametrization may change its buffers each time.
            computed = is_parametrized(self.module, full) or full in vars(self.module)
            raise RemedyError(
                f"{self.site or self.kind} computes its {name} from other parameters; take the parametrization off "
                "first, and put it on again afterwards"
                if computed
                else f"{self.site or self.kind} has no {name}"
            )
        return own

    def gate(self, tensor: Tensor, name: str) -> Tensor:
        """One gate's rows of a parameter, `[H, ...]`, as a view: `i f g o` of an LSTM, `r z n` of a GRU."""
        return tensor.split(self.hidden_size)[CELLS[self.kind].gate_names.index(name)]


def _own(model: nn.Module, site: str) -> Layer | None:
    """The parameter that a site names, where it is none of torch's recurrent modules'."""
    path, _, name = site.rpartition(".")
    modules = dict(model.named_modules())
    module = modules.get(path)
    if module is None or isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        return None
    held = module._parameters.get(name)
    if held is None or held.dim() not in (1, 2):
        return None
    return Layer(site, module, "", "own", own=name)


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
