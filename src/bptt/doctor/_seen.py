"""The light look at every forward pass: which recurrent modules ran, on what, and whether it is still finite.

One global forward hook keeps references, no copies, until the update is over; the graph is not held. It is there
between probes, too, so that the first non-finite value of a run can be traced in the very update that brought it.
"""

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as global_hooks
from torch.nn.utils.rnn import PackedSequence
from torch.utils.hooks import RemovableHandle

from bptt.doctor._behind import Behind
from bptt.doctor._detached import Cut, Detached
from bptt.doctor._handed import HandOvers
from bptt.flow.record._call import kind_of
from bptt.flow.record._guest import elsewhere, unnoticed
from bptt.flow.record._shelter import sheltered
from bptt.flow.record._watch import same_values, watch

BYTES = 128 * 2**20
"""References held for one update; older calls are let go beyond it."""
HOOK_SECONDS = 2.5e-6
"""What one call of any module costs more while a global hook is there."""
Given = tuple[Any, ...]
Shield = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Keeps the faults of a callable out of the training, and adds up its time."""


@dataclass(eq=False)
class Seen:
    """One call of a recurrent module, without copies. `grads` fills as gradients arrive."""

    module: nn.Module
    kind: str
    args: Given
    kwargs: dict[str, Any]
    output: Any
    carried: bool = False
    grads: dict[str, Tensor] = field(default_factory=dict)
    second_order: bool = False

    @property
    def is_cell(self) -> bool:
        """Whether this is one step."""
        return not isinstance(self.module, nn.RNNBase)

    @property
    def y(self) -> Tensor:
        """The output at every step; the state after the step for a cell."""
        first = self.output[0] if isinstance(self.output, tuple) else self.output
        if isinstance(first, PackedSequence):
            return first.data
        return first

    @property
    def x(self) -> Tensor:
        """The input."""
        given = self.args[0] if self.args else self.kwargs["input"]
        return given.data if isinstance(given, PackedSequence) else given


class Forward:
    """Keeps the calls of the current update."""

    def __init__(self, model: nn.Module | None) -> None:
        self._own = None if model is None else {id(each) for each in model.modules()}
        self.modules: dict[int, weakref.ref[nn.Module]] = {}
        self.called: set[int] = set()
        self.carried: set[int] = set()
        self.calls: list[Seen] = []
        self.data: list[tuple[nn.Module, Tensor | None]] = []
        self.steps: dict[int, tuple[int, list[Cut], Any]] = {}
        self.taken, self.behind = Detached(), Behind()
        self.seconds = 0.0
        self.seldom = False
        """The hook is there in updates that are looked at whole, and in no other."""
        self._bytes = 0
        self._recurrent: dict[type, bool] = {}
        self.handed = HandOvers()
        self._ids: list[Tensor] = []
        self._ends: dict[int, Tensor] = {}
        self._handle: RemovableHandle | None = None
        self._notice: Callable[[], None] = lambda: None
        self._stepped: dict[int, Tensor] = {}
        self._over = False
        self.watches = True  # gradients that reach a module's output are kept, too
        self.arrived: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Install the hook."""
        if self._handle is None:
            hook = sheltered(self._after)
            self._handle = global_hooks.register_module_forward_hook(hook, with_kwargs=True)
            self._notice = unnoticed([self._handle])

    def stop(self) -> None:
        """Remove the hook."""
        if self._handle is not None:
            self._handle.remove()
            global_hooks._global_forward_hooks_with_kwargs.pop(self._handle.id, None)
            self._handle = None
            self._notice()

    @property
    def on(self) -> bool:
        """Whether the hook is there."""
        return self._handle is not None

    def living(self) -> list[nn.Module]:
        """Recurrent modules that were called and still live, in the order of their first calls."""
        return [module for weak in self.modules.values() if (module := weak()) is not None]

    def next_update(self, whole: bool = True) -> None:
        """Let go of the calls; the states they ended in are remembered, to know them again.

        `whole`: the coming update is looked at whole.
        """
        if self._handle is not None:
            self._stepped, self._ends = self._ends or self._stepped, {}
            self.calls, self.data, self._bytes = [], [], 0
            self._over = True
            self._ids = []
            self.handed.clear()
        if self.seldom and whole != self.on:
            if whole:
                self.start()
            else:
                self.stop()

    def forget(self) -> None:
        """Nothing is known of what comes next."""
        self._stepped, self._ends = {}, {}
        self.calls, self.data, self._bytes, self._over = [], [], 0, True

    def _after(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        began = time.perf_counter()
        try:
            if not elsewhere():
                self._look(module, args, kwargs, output)
        finally:
            self.seconds += time.perf_counter() - began + HOOK_SECONDS

    def _look(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if not torch.is_grad_enabled():
            if len(args) > 1 or kind_of(module) is not None:
                self.handed.quiet(module, output)
            return
        if self._over:
            self.called, self.carried, self.steps, self._over = set(), set(), {}, False
            self.handed.begin()
            self.behind.share = {}
        recurrent = self._recurrent.get(type(module))
        if recurrent is None:
            recurrent = self._recurrent[type(module)] = kind_of(module) is not None
        if not recurrent:
            self._other(module, args)
            return
        key = id(module)
        if self._own is not None and key not in self._own:
            return
        if key not in self.modules:
            self.modules[key] = weakref.ref(module)
        self.called.add(key)
        self._keep(module, kind_of(module) or "", args, kwargs, output)
        given = args[0] if args else kwargs.get("input")
        given = given.data if isinstance(given, PackedSequence) else given
        self._hold(module, given)

    def _other(self, module: nn.Module, args: Any) -> None:
        """A module that is none of torch's recurrent ones: what it was given, and whether that was cut off."""
        if module._modules and not (args and isinstance(args[0], Tensor)):
            self._hold(module, None)
        if (
            args
            and isinstance(args[0], Tensor)
            and args[0].dim() == 2
            and not args[0].is_floating_point()
        ):
            self._ids.append(args[0])
        if len(args) > 1:
            self.handed.given(module, args[1:])
        known = None
        for given in args:
            if type(given) is Tensor and not given.requires_grad and given.is_floating_point():
                self._hold(module, given)
                known = known or self.taken.source(given)
        if module._parameters or module._modules:
            calls, cuts, _ = self.steps.get(id(module), (0, [], None))
            cuts += [known] if known is not None else []
            self.steps[id(module)] = (calls + 1, cuts, weakref.ref(module))

    def _hold(self, module: nn.Module, tensor: Any) -> None:
        usable = isinstance(tensor, Tensor) and tensor.is_floating_point()
        if usable and not tensor.requires_grad and self._bytes < BYTES:
            self.data.append((module, tensor))
            self._bytes += tensor.numel() * tensor.element_size()
        elif module._modules:
            self.data.append((module, None))

    def inputs(self) -> list[Tensor]:
        """What the first layers were given in this update: token ids, or series of numbers."""
        series = [tensor for _, tensor in self.data[:4] if tensor is not None and tensor.dim() == 3]
        return [*self._ids[:2], *series[:2]]

    def read_behind(self) -> dict[int, float]:
        """By the id of a module that was given packed input: of the rows behind the ends, the share that is trained."""
        found: dict[int, float] = {}
        for seen in self.calls:
            given = seen.args[0] if seen.args else None
            if isinstance(given, PackedSequence) and self.behind.share:
                share = self.behind.share.get(tuple(given.batch_sizes.tolist()), 0.0)
                found[id(seen.module)] = max(share, found.get(id(seen.module), 0.0))
        return found

    def from_outside(self) -> tuple[list[Tensor], nn.Module | None]:
        """Data that is not finite and that no module of this update made; else the module that made it."""
        for n, (module, tensor) in enumerate(self.data):
            if tensor is None or bool(tensor.isfinite().all()):
                continue
            around = [
                (other, given)
                for other, given in self.data[n + 1 :]
                if other is not module and any(each is module for each in other.modules())
            ]
            made = around and all(g is None or bool(g.isfinite().all()) for _, g in around)
            return ([], module) if made else ([tensor], None)
        return [], None

    def _keep(self, module: nn.Module, kind: str, args: Any, kwargs: Any, output: Any) -> None:
        seen = Seen(module, kind, _detached(args), _detached(kwargs), _detached(output))
        self._recognise(seen, args, kwargs)
        ends = output if seen.is_cell else output[1]
        h = ends[0] if isinstance(ends, tuple) else ends
        self._ends[id(module)] = h.detach()
        self.handed.ends(module, h)
        if not seen.is_cell and self.watches:
            self._watch(seen, output)
        self.calls.append(seen)
        self._bytes += seen.y.numel() * seen.y.element_size()
        while self._bytes > BYTES and len(self.calls) > 1:
            gone = self.calls.pop(0)
            self._bytes -= gone.y.numel() * gone.y.element_size()

    def _recognise(self, seen: Seen, args: Any, kwargs: Any) -> None:
        """Whether the state that is given is one that an earlier update ended in."""
        hx = args[1] if len(args) > 1 else kwargs.get("hx")
        if id(seen.module) not in self._ends:
            self.handed.given(seen.module, hx)
        if not self._stepped or id(seen.module) in self._ends:
            return
        h = hx[0] if isinstance(hx, (tuple, list)) else hx
        if not isinstance(h, Tensor) or h.requires_grad:
            return
        if any(same_values(h, end) for end in self._stepped.values()) and bool(h.any()):
            seen.carried = True
            self.carried.add(id(seen.module))

    def _watch(self, seen: Seen, output: Any) -> None:
        y, ends = output[0], output[1] if isinstance(output[1], tuple) else (output[1],)
        watch(y.data if isinstance(y, PackedSequence) else y, seen, "y", self.arrived)
        for part, end in zip("hc", ends, strict=False):
            watch(end, seen, part, self.arrived)


def _detached(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach() if value.requires_grad else value
    if isinstance(value, PackedSequence):  # a tuple, too
        return PackedSequence(
            value.data.detach(), value.batch_sizes, value.sorted_indices, value.unsorted_indices
        )
    if isinstance(value, (tuple, list)):
        return tuple(_detached(each) for each in value)
    if isinstance(value, dict):
        return {key: _detached(each) for key, each in value.items()}
    return value
