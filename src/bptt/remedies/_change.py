"""What a remedy does to a model, an optimizer and the process: written down as it is done, and undone bit for bit."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt._errors import BpttError
from bptt.remedies._target import RemedyError

_ABSENT = object()


class Change:
    """Everything that one remedy did, in order; `undo` takes it back in the reverse order.

    A remedy makes its changes through the methods below and through nothing else. Used as a context, an error inside
    undoes what was done so far: a remedy that is refused halfway leaves the model as it was.

    Args:
        remedy: the remedy's name.
        args: its arguments, as the user would write them.

    Attributes:
        said: what was done, with its numbers, in one sentence a line.
        lines: the code that makes the change permanent.
        active: whether it is in place.
        counts: what it did while it acted, such as updates skipped; empty for what acts once.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> before = layer.weight.detach().clone()
        >>> with Change("zero", {}) as change:
        ...     change.fill(layer.weight, torch.zeros(2, 2))
        >>> change.undo()
        >>> torch.equal(layer.weight, before)
        True
    """

    def __init__(self, remedy: str, args: dict[str, Any]) -> None:
        self.remedy, self.args = remedy, args
        self.said: list[str] = []
        self.lines: tuple[str, ...] = ()
        self.active = True
        self.counts: dict[str, int] = {}
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> "Change":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.undo()

    def __str__(self) -> str:
        return "\n".join(self.said)

    def undo(self) -> None:
        """Take everything back, the last thing first. A second call does nothing."""
        self.active = False
        while self._undo:
            self._undo.pop()()

    # What a remedy may do.

    @torch.no_grad()
    def fill(self, tensor: Tensor, value: Tensor) -> None:
        """Write `value` into a parameter or buffer, in place.

        Raises:
            RemedyError: finite numbers would become such as are not.
        """
        if tensor.shape != value.shape:
            raise BpttError(
                f"a value of shape {list(value.shape)} does not fit {list(tensor.shape)}"
            )
        written = value.to(tensor)
        if not bool(written.isfinite().all()) and bool(tensor.isfinite().all()):
            told = ", ".join(f"{name}={each!r}" for name, each in self.args.items())
            raise RemedyError(
                f"{self.remedy}({told}) gives weights that {tensor.dtype} cannot hold; give a number nearer to 1"
            )
        saved = tensor.detach().clone()
        tensor.copy_(written)

        def back() -> None:
            with torch.no_grad():
                tensor.copy_(saved)

        self._undo.append(back)

    def attribute(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of an object, a class or a module of Python."""
        own = vars(owner).get(name, _ABSENT) if hasattr(owner, "__dict__") else getattr(owner, name)
        setattr(owner, name, value)
        self._undo.append(
            lambda: delattr(owner, name) if own is _ABSENT else setattr(owner, name, own)
        )

    def item(self, owner: Any, key: Any, value: Any) -> None:
        """Set an entry of a dictionary, such as an optimizer's group."""
        old = owner.get(key, _ABSENT)
        owner[key] = value
        self._undo.append(lambda: owner.pop(key) if old is _ABSENT else owner.update({key: old}))

    def hook(self, handle: Any) -> None:
        """Something with a `remove()`: it is called on undo."""
        self._undo.append(handle.remove)

    def module(self, parent: nn.Module, name: str, new: nn.Module) -> None:
        """Put another module in a child's place."""
        old = getattr(parent, name)
        setattr(parent, name, new)
        self._undo.append(lambda: setattr(parent, name, old))

    def parameters(
        self, optimizer: Optimizer, old: list[nn.Parameter], new: list[nn.Parameter]
    ) -> None:
        """Have `optimizer` own `new` in the place of `old`: one for one where they are as many, else at the end of the
        group of the first of them. What it did not own, it does not get.

        The state that belongs to the old ones (momentum, second moments) is put aside, and comes back with them.
        """
        stays = {id(p) for p in old} & {id(p) for p in new}
        gone = {id(p) for p in old} - stays
        groups = [(group, list(group["params"])) for group in optimizer.param_groups]
        home = next((g for g, own in groups if any(id(p) in gone | stays for p in own)), None)
        if home is None:
            return
        # LBFGS keeps one flat history of all its parameters, and their number.
        flat = "_numel_cache" in vars(optimizer)
        aside = [p for p in (list(optimizer.state) if flat else old) if flat or id(p) in gone]
        state = {p: optimizer.state.pop(p) for p in aside if p in optimizer.state}
        heir = dict(zip(map(id, old), new, strict=True)) if len(old) == len(new) else {}
        for group, own in groups:
            # In place: LBFGS, and whoever else holds the list, sees it, too.
            kept = [p for p in own if id(p) in heir or id(p) not in gone]
            group["params"][:] = [heir.get(id(p), p) for p in kept]
        added = [] if heir else [p for p in new if id(p) not in stays]
        home["params"].extend(added)
        if flat:
            self.attribute(optimizer, "_numel_cache", None)

        def back() -> None:
            for p in new:
                if id(p) not in stays:
                    optimizer.state.pop(p, None)
            if flat:
                optimizer.state.clear()
            for group, own in groups:
                group["params"][:] = own
            optimizer.state.update(state)

        self._undo.append(back)

    def absorb(self, other: "Change") -> None:
        """Take over what another change did: undone with this one, and said and written down with it."""
        self._undo.append(other.undo)
        self.said += other.said
        self.lines = (*self.lines, *(line for line in other.lines if line not in self.lines))
        self.counts |= other.counts

    def then(self, back: Callable[[], None]) -> None:
        """Anything else: `back` takes it back."""
        self._undo.append(back)
