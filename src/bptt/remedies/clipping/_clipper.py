"""One interface to every way of clipping: in the user's loop, inside an optimizer's step, fed by a monitor."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.remedies._target import RemedyError
from bptt.remedies.clipping._hook import Attachment
from bptt.remedies.clipping._method import Clipped, Method, gradients
from bptt.remedies.clipping._torch import ours


class Clipper:
    """Clips gradients by one method, counts, and remembers what the method learns.

    In the user's loop, in the place of `clip_grad_norm_`:

        clipper = Clipper(AutoClip(percentile=10))
        loss.backward()
        clipper.clip(model.parameters())
        optimizer.step()

    Or inside every step of an optimizer, the loop unchanged: `clipper.attach(optimizer)`.

    A gradient that is not finite is left as it is, enters no history and counts as skipped: what to do with such an
    update is for others to say (`skip_non_finite`, a `GradScaler`). Values that are finite but whose norm overflows
    their dtype are measured in float64, and clipped. Rows of sparse gradients (`nn.Embedding(sparse=True)`) are clipped
    as the dense ones would be. On an accelerator each call waits once for the device.

    With a `GradScaler`, gradients hold its scale until it takes it out. Inside a step that has happened, or the fused
    optimizer says what the scale is, so `attach` needs nothing; before `clip`, call `scaler.unscale_(optimizer)`, as
    before torch's own.

    Args:
        method: `ClipNorm`, `ClipValue`, `AGC`, `AutoClip` or `ZClip`.

    Attributes:
        updates, clipped, skipped: calls that met a gradient, that changed it, that left one that was not finite.
        last: what the last call did; None before the first.

    Example:
        >>> from bptt.remedies import ClipNorm, Clipper
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> layer.weight.grad = torch.tensor([[8.0]])
        >>> clipper = Clipper(ClipNorm(2.0))
        >>> clipper.clip(layer.parameters())
        Clipped(norm=8.0, limit=2.0, factor=0.24999...)
        >>> layer.weight.grad = torch.tensor([[1.0]])
        >>> clipper.clip(layer.parameters()).factor
        1.0
        >>> clipper
        Clipper(ClipNorm(max_norm=2.0), updates=2, clipped=1, skipped=0)
    """

    def __init__(self, method: Method | Any) -> None:
        if not isinstance(method, Method):
            raise RemedyError(
                f"Clipper was given {method!r}, expected a method such as ClipNorm(1.0) or AutoClip()"
            )
        self.method = method
        self.updates = self.clipped = self.skipped = 0
        self.last: Clipped | None = None

    def __repr__(self) -> str:
        counts = f"updates={self.updates}, clipped={self.clipped}, skipped={self.skipped}"
        return f"Clipper({self.method!r}, {counts})"

    @torch.no_grad()
    def clip(self, parameters: Tensor | Iterable[Tensor], *, scale: int | float = 1.0) -> Clipped:
        """Clip the gradients of `parameters` in place, all of them together.

        Args:
            parameters: those without a gradient take no part.
            scale: how many times too large the gradients are at present; the norm that is returned is the true one.
        """
        held = gradients(parameters)
        if not held:
            return Clipped(0.0, math.inf, 1.0)
        with ours():
            done = self.method.clip(held, scale)
        self.last, self.updates = done, self.updates + 1
        if not math.isfinite(done.norm):
            self.skipped += 1
        elif done.factor < 1:
            self.clipped += 1
        return done

    def attach(self, where: Optimizer | nn.Module, *, replace: bool = False) -> Attachment:
        """Clip inside every `optimizer.step()` from now on, before the weights change, until `remove()`.

        Every optimizer has a history of its own: the first that steps uses this clipper, each other one a fresh one of
        the same settings (`Attachment.clippers`). What an adaptive method remembers travels in the optimizer's
        `state_dict()`, under a key that an optimizer without it passes over.

        A step with a closure is clipped after every evaluation of it, for LBFGS as for the others; but LBFGS with a
        line search needs true gradients, and is refused.

        Args:
            where: an optimizer, or a model: then every optimizer is met that holds parameters of it, and these are
                clipped.
            replace: a script's own `clip_grad_norm_` and `clip_grad_value_` on these parameters (and no others) are put
                aside: they return the true norm and change nothing, and this clipper acts in the step. Where no
                optimizer is known yet, as in a loop that steps by hand, it acts at once in their place.

        Raises:
            RemedyError: nothing to clip there, a line search, or another clipper of the whole gradient at work.
        """
        return Attachment(self, where, replace=replace)

    def again(self) -> "Clipper":
        """A fresh clipper of the same settings."""
        return Clipper(type(self.method)(**self.method.options()))

    def observe(self, norms: Iterable[float]) -> None:
        """Learn from norms that were seen elsewhere, by a monitor; those that are not finite are passed over."""
        for norm in norms:
            if 0 < norm < math.inf:
                self.method.observe(float(norm))

    def state_dict(self) -> dict[str, Any]:
        """Counters and what the method remembers; plain numbers and tensors."""
        return {
            "method": self.method.name,
            "updates": self.updates,
            "clipped": self.clipped,
            "skipped": self.skipped,
            "state": self.method.state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where `state_dict()` was taken. Settings stay those of this clipper.

        Raises:
            RemedyError: it was taken from another method.
        """
        if state_dict.get("method") != self.method.name:
            raise RemedyError(
                f"the state is that of {state_dict.get('method')!r}, this clipper's method is {self.method.name!r}; "
                "build the clipper with the method it was saved with"
            )
        self.method.load(state_dict["state"])
        for count in ("updates", "clipped", "skipped"):
            setattr(self, count, int(state_dict[count]))
