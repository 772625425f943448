"""What a script takes out of the graph with `detach()` or `.data`, and which weights it had been made with.

A loop that cuts its state at every step leaves no trace in the graph below the loss: each step begins with numbers that
came from nowhere. So the two ways out are watched, in the updates that rules judge by: a tensor is remembered with the
leaves that it was computed from and the size of the graph below it. A state that is cut at each step has a graph of the
same size at each step; one that still passes its gradient on another way has a graph that grows.
"""

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bptt import flow
from bptt.flow.by_hand._graph import PRODUCTS
from bptt.flow.by_hand._saved import saved
from bptt.flow.record._shelter import sheltered

NODES = 1_000
"""Nodes below one tensor that are looked at; of a larger graph nothing is known."""
IN_ALL = 60_000
"""Nodes that are looked at between two backward passes, all tensors together: a tenth of a second's work."""
LARGEST = 2**18
"""Numbers in one tensor; a state is not larger."""
MANY = 256
"""Tensors that are remembered between two passes."""
OWN = (
    str(Path(__file__).parent),
    str(Path(flow.__file__).parent),
    str(Path(torch.__file__).parent),
)
"""What is taken out in these folders is not the script's doing."""
OPERANDS = ("_saved_mat1", "_saved_self", "_saved_mat2", "_saved_vec", "_saved_input")
"""What products call what they multiply."""
PRODUCTS_ASKED = 32
"""Products below one tensor of which it is asked what they multiply."""
TIMES = 2
"""States of one loop, cut in one update, from which on it is no accident."""


class Cut(NamedTuple):
    """One tensor that was taken out: its values, their sum, ids of the leaves below it, how many nodes there are."""

    values: Tensor
    total: float
    leaves: frozenset[int]
    size: int
    chained: bool
    """Whether it was made from another one, taken out in the same pass."""

    def alike(self, other: "Cut") -> bool:
        """Whether both may be the state of one loop at two steps."""
        return (self.values.shape, self.leaves, self.size) == (
            other.values.shape,
            other.leaves,
            other.size,
        )


class Detached:
    """What was taken out of the graph since the last backward pass, and between the two passes before.

    Example:
        >>> w, h, seen = torch.eye(4, requires_grad=True), torch.ones(1, 4), Detached()
        >>> seen.watch(True)
        >>> for _ in range(3):
        ...     h = torch.tanh(h @ w).detach()
        >>> seen.watch(False)
        >>> len(seen.now), seen.source(h.clone()) is seen.now[-1], len(seen.like(seen.now[0]))
        (3, True, 3)
    """

    def __init__(self) -> None:
        self.now: list[Cut] = []
        self.before: list[Cut] = []
        self._room = IN_ALL

    def watch(self, yes: bool) -> None:
        """Begin or end; twice is once."""
        if yes:
            _listen(self)
        else:
            _unlisten(self)

    def next_pass(self) -> None:
        """A backward pass has begun: what comes belongs to the next one."""
        self.before, self.now, self._room = self.now, [], IN_ALL

    def forget(self) -> None:
        """Nothing is known of what was taken out."""
        self.before, self.now, self._room = [], [], IN_ALL

    def took(self, source: Any, values: Tensor) -> None:
        """`values` were taken out of the graph; `source` is the node that made them."""
        if not 4 <= values.numel() <= LARGEST or len(self.now) >= MANY or self._room <= 0:
            return
        last = self.now[-1].values if self.now else None
        again = last is not None and last.data_ptr() == values.data_ptr()
        if again or not values.is_floating_point():
            return
        leaves, size, products = _below(source)
        self._room -= size
        if size < NODES and leaves:
            given = (each for node in products[:PRODUCTS_ASKED] for each in operands(node))
            chained = bool(self.now) and any(self._is_of_now(each) for each in given)
            self.now.append(Cut(values, _total(values), leaves, size, chained))

    def _is_of_now(self, operand: Tensor) -> bool:
        cut = self.part_of(operand)
        return cut is not None and any(cut is each for each in self.now)

    def source(self, given: Tensor) -> Cut | None:
        """The tensor whose values these are, the latest if there are several; None if it was not seen."""
        if not given.is_floating_point() or not 4 <= given.numel() <= LARGEST:
            return None
        rows = self.now[::-1] + self.before[::-1]
        place = given.data_ptr()
        found = next((c for c in rows if c.values.data_ptr() == place and _same(c, given)), None)
        if found is None and rows and given.device.type == "cpu":  # elsewhere each look is a wait
            total = _total(given)
            found = next((c for c in rows if c.total == total and _same(c, given)), None)
        return found

    def like(self, cut: Cut) -> list[Cut]:
        """Those of this pass that may be the same loop's state at another step, itself among them."""
        return [each for each in self.now if each.alike(cut)]

    def part_of(self, operand: Tensor) -> Cut | None:
        """The tensor that an operand is, or that its first or last columns are: a state next to an input."""
        found = self.source(operand)
        if found is not None or operand.dim() < 2:
            return found
        for width in {c.values.shape[-1] for c in self.now if c.values.dim() > 1}:
            if width < operand.shape[-1]:
                found = self.source(operand[..., -width:]) or self.source(operand[..., :width])
            if found is not None:
                return found
        return None

    @property
    def repeats(self) -> bool:
        """Whether anything was taken out of this pass's graph again and again."""
        return self.repeated(self.now) > 0

    def repeated(self, cuts: Iterable[Cut]) -> int:
        """How many of these are one loop's state at several steps; 0 where none comes again."""
        cuts = list(cuts)
        return max((n for c in cuts if (n := sum(map(c.alike, cuts))) >= TIMES), default=0)


def operands(node: Any) -> Iterator[Tensor]:
    """What a product multiplied."""
    for field in OPERANDS:
        kept = saved(node, field)
        if isinstance(kept, Tensor):
            yield kept.detach()


def _below(node: Any) -> tuple[frozenset[int], int, list[Any]]:
    """Ids of the leaves below a node, how many nodes there are, `NODES` at most, and those that are products."""
    seen, stack, leaves = {node}, [node], set()
    products = [node] if node.name().startswith(PRODUCTS) else []
    while stack and len(seen) < NODES:
        for child, _ in stack.pop().next_functions:
            if child is None or child in seen:
                continue
            seen.add(child)
            name = child.name()
            if name.endswith("AccumulateGrad"):
                leaves.add(id(child.variable))
                continue
            stack.append(child)
            if name.startswith(PRODUCTS):
                products.append(child)
    return frozenset(leaves), len(seen), products


def _total(tensor: Tensor) -> float:
    return float(tensor.double().sum()) if tensor.device.type == "cpu" else 0.0


def _same(cut: Cut, given: Tensor) -> bool:
    one = cut.values
    if one.numel() != given.numel() or one.device != given.device or one.dtype != given.dtype:
        return False
    return torch.equal(one.flatten(), given.detach().flatten())


_listeners: list["weakref.ref[Detached]"] = []
_kept: dict[str, Any] = {}
_put: dict[str, Any] = {}


def _listen(each: Detached) -> None:
    if not any(weak() is each for weak in _listeners):
        _listeners.append(weakref.ref(each, _gone))
    if not _kept:
        for name in ("detach", "detach_"):
            _kept[name] = torch.Tensor.__dict__[name]
            _put[name] = _told(_kept[name])
        _kept["data"] = torch._C.TensorBase.__dict__["data"]
        _put["data"] = property(_told(_kept["data"].__get__), _kept["data"].__set__)
        for name, wrapped in _put.items():
            setattr(torch.Tensor, name, wrapped)


def _unlisten(each: Detached) -> None:
    for weak in [weak for weak in _listeners if weak() is each]:
        _gone(weak)


def _gone(weak: "weakref.ref[Detached]") -> None:
    if weak in _listeners:
        _listeners.remove(weak)
    if _listeners or not _kept:
        return
    for name, wrapped in _put.items():
        if torch.Tensor.__dict__.get(name) is not wrapped:
            continue  # someone wrapped it after us
        if name == "data":
            del torch.Tensor.data
        else:
            setattr(torch.Tensor, name, _kept[name])
    _kept.clear()
    _put.clear()


def _told(original: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    # Not a function of its own name: type checks put frames of theirs between those, and the caller is asked for.
    return wraps(original)(
        lambda tensor: (
            original(tensor)
            if torch.compiler.is_compiling()
            else _take_out(original, tensor, sys._getframe(1).f_code.co_filename)
        )
    )


def _take_out(original: Callable[[Tensor], Tensor], tensor: Tensor, caller: str) -> Tensor:
    source = tensor.grad_fn if type(tensor) is Tensor and _listeners else None
    values = original(tensor)
    if source is not None and not caller.startswith(OWN):
        _tell(source, values)
    return values


@sheltered
def _tell(source: Any, values: Tensor) -> None:
    if _plain():
        for each in [each for weak in _listeners if (each := weak()) is not None]:
            each.took(source, values)


def _plain() -> bool:
    """Whether no transformation of torch.func, no compiler and no dispatch mode is at work."""
    return (
        torch._C._functorch.peek_interpreter_stack() is None  # type: ignore[attr-defined]
        and not torch.compiler.is_compiling()
        and torch._C._len_torch_dispatch_stack() == 0
    )
