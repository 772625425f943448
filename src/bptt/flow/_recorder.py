"""The recorder: forward hooks that write down the calls of recurrent modules, and where their gradients arrive."""

import time
from collections import deque
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules import module as global_hooks
from torch.nn.utils.parametrize import ParametrizationList
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.hooks import RemovableHandle

from bptt._errors import BpttError
from bptt._signals import let_signals_pass
from bptt.flow._analyse import Factors, analyse
from bptt.flow._analyse import attribute as attributed
from bptt.flow._flow import Flow, Note
from bptt.flow.by_hand._runs import Run
from bptt.flow.by_hand._sites import ByHand
from bptt.flow.record._announce import Root, listen, unlisten
from bptt.flow.record._call import Call, StateCall, kind_of
from bptt.flow.record._capture import capture, link
from bptt.flow.record._compiler import look_for_compiler
from bptt.flow.record._guest import elsewhere, unnoticed
from bptt.flow.record._names import Names
from bptt.flow.record._own_cells import OwnCells
from bptt.flow.record._shelter import each_of, keep_faults, keep_no_more
from bptt.flow.record._watch import watch

Keep = Literal["norms", "full"]
LIMIT = 512 * 2**20
"""Bytes held for one flow. Micro-batches beyond it are left out, and the flow says so; calls that no gradient has come
back to, such as an evaluation's, make room for later ones."""
TAILS = 8
"""Calls of a module among whose final states the given state of its next call is looked for."""


def hook(method: Callable[..., None]) -> Callable[..., None]:
    """A hook that torch calls inside the user's training: its time is added up, its faults stay out of the training.

    The first fault ends the recording; `harvest` raises it.
    """

    @wraps(method)
    def wrapper(self: "Recorder", *args: Any, **kwargs: Any) -> None:
        # First: where Dynamo follows this call all the same, it finds nothing in it.
        if torch.compiler.is_compiling() or not self._handles or self.fault is not None:
            return
        began, spent = time.perf_counter(), self.seconds
        try:
            look_for_compiler()
            method(self, *args, **kwargs)
        except Exception as fault:
            let_signals_pass(fault)
            self.fail(fault)
        finally:
            self.seconds = max(self.seconds, spent + time.perf_counter() - began)

    return wrapper


class Recorder:
    """Watches recurrent modules between `start` and `stop`; `harvest` turns what was seen into a `Flow`.

    With `model=None` every module of the process is watched (through torch's global module hooks). The recorder only
    reads: it draws no random numbers and puts nothing into the graph.
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        *,
        keep: Keep = "norms",
        threshold: float = 1e-3,
        lengths: Tensor | None = None,
        attribute: bool = True,
    ) -> None:
        if keep not in ("norms", "full"):
            raise BpttError(f'keep={keep!r}: expected "norms" or "full"')
        if not (isinstance(threshold, float | int) and 0 < threshold < 1):
            raise BpttError(
                f"threshold={threshold!r}: expected a number between 0 and 1, such as 1e-3"
            )
        self.keep, self.threshold, self.seconds = keep, threshold, 0.0
        self.factors: Factors | None = attributed if attribute else None
        self.fault: Exception | None = None
        self.on_new_pass: Callable[[], None] | None = None
        self.on_fault: Callable[[Exception], None] = lambda fault: None
        self._model, self._lengths, self._names = model, lengths, Names(model)
        self._own = OwnCells(self._names, self._watch)
        self._by_hand = ByHand(model, self._names)
        self._handles: list[RemovableHandle] = []
        self._notice: Callable[[], Any] = bool
        self._inside: set[int] | None = None
        self._rng: dict[int, Tensor] = {}
        self._clear()

    def _clear(self) -> None:
        self._calls: list[Call] = []
        self._notes: dict[str, str] = {}
        self._tails: dict[int, deque[Call]] = {}
        self._copies: dict[int, Any] = {}
        self._computed: dict[int, Tensor] = {}
        self._watching: list[RemovableHandle] = []
        self._bytes, self._left_out = 0, 0
        self.pending = self.seen = False
        self._own.clear()
        self._by_hand.clear()

    def start(self) -> None:
        """Install the hooks."""
        if self._handles:
            return
        keep_faults(self.fail)
        listen(self._pass_begins)
        # Hooks of the process, not of the modules: a copied or saved model must not carry the recorder along.
        self._inside = None if self._model is None else {id(each) for each in self._model.modules()}
        add_pre = global_hooks.register_module_forward_pre_hook
        add = global_hooks.register_module_forward_hook
        self._handles = [add_pre(self._before), add(self._after, with_kwargs=True)]
        self._notice = unnoticed(self._handles)

    def stop(self) -> None:
        """Remove the hooks; what was recorded stays until it is harvested."""
        keep_no_more(self.fail)
        handles, self._handles = self._handles, []
        for handle in handles:
            handle.remove()
            # torch keeps a hook's flags beyond its removal, and then takes slower paths as if it were there.
            global_hooks._global_forward_hooks_with_kwargs.pop(handle.id, None)
        each_of(lambda: unlisten(self._pass_begins), self._notice)

    def fail(self, fault: Exception) -> None:
        """A fault of a hook: it ends the recording."""
        if self.fault is None:
            self.fault = fault
            self.on_fault(fault)

    def forget(self) -> None:
        """Drop what was recorded."""
        for handle in self._watching:
            handle.remove()
        self.fault = None
        self._clear()

    def harvest(self) -> Flow:
        """Analyse what was recorded and drop it, but for the last calls to which no gradient has come yet.

        Raises:
            Exception: the first fault of a hook, if there was one; what was recorded is then dropped.
        """
        began = time.perf_counter()
        try:
            return self._harvest()
        finally:
            self.seconds += time.perf_counter() - began

    def _harvest(self) -> Flow:
        if (fault := self.fault) is not None:
            self.forget()
            raise fault
        if self._left_out:
            self._notes["memory"] = (
                f"{self._left_out} further calls of this update were left out: "
                f"the copies of the states had reached {LIMIT >> 20} MiB"
            )
        own, notes = self._own.take(), self._notes | self._by_hand.notes
        by_hand, measured = self._by_hand.parts, self._by_hand.measured
        calls = [call for call in self._calls if id(call.module) not in measured]
        for call in calls:
            alone = type(call.module).__name__ if call.is_cell else ""
            call.name = self._names(call.module) or alone
        waiting = [call for call in calls if call.fresh and not call.grads]
        watching = self._watching
        self._clear()
        self._wait_for(waiting, watching)
        with (
            _disable_current_modes()
        ):  # counters and profilers of the script's see its own operations alone
            flow = analyse(
                calls,
                own,
                by_hand,
                keep=self.keep,
                threshold=self.threshold,
                factors=self.factors,
            )
        flow.notes.extend(Note(subject, reason) for subject, reason in notes.items())
        return flow

    def _wait_for(self, calls: list[Call], watching: list[RemovableHandle]) -> None:
        """Another loss may yet reach calls that this harvest found without a gradient: the next one looks again."""
        for call in calls:
            call.fresh = False
        self._calls = calls
        self._watching = watching if calls else []
        for handle in () if calls else watching:
            handle.remove()

    @hook
    def _before(self, module: nn.Module, args: Any) -> None:
        if elsewhere() or self._outside(module):
            return
        if module.training and _draws(module):
            self._rng[id(module)] = _rng_state(module)

    @hook
    def _after(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if elsewhere() or self._outside(module):
            return
        if isinstance(module, ParametrizationList):
            self._computed[id(module)] = output.detach()
            return
        self._note_opaque(module)
        kind, rng = kind_of(module), self._rng.pop(id(module), None)
        if kind is None:
            self._by_hand.saw(module)
            self._own.after(module, args, kwargs, output, rng)
            self.seen = self.seen or self._own.seen
            return
        self.seen = True
        if not torch.is_grad_enabled() or not _requires_grad(output):
            return
        if self.pending and self.on_new_pass is not None:
            self.on_new_pass()
            if not self._handles:
                return
        if self._bytes > LIMIT and self.pending:
            self._left_out += 1
            return
        while self._bytes > LIMIT:
            self._drop_oldest()
        self._names.meet(module)
        try:
            call = capture(
                module, kind, "", args, kwargs, output, rng, self._copies, self._computed
            )
        except Exception as reason:  # an unforeseen subclass must not end the rest's measurement
            self._notes[type(module).__name__] = str(reason)
            self._own.after(module, args, kwargs, output, rng)
            return
        call.lengths = self._lengths
        link(call, args, kwargs, self._tails.setdefault(id(module), deque(maxlen=TAILS)))
        self._calls.append(call)
        self._bytes += call.nbytes
        self._watch_outputs(call, output)

    def _outside(self, module: nn.Module) -> bool:
        return self._inside is not None and id(module) not in self._inside

    def _drop_oldest(self) -> None:
        oldest = self._calls.pop(0)
        self._bytes -= oldest.nbytes
        oldest.nodes, oldest.next = [], None
        for call in self._calls:
            call.previous = None if call.previous is oldest else call.previous

    def _pass_begins(self, roots: list[Root]) -> Callable[[], None] | None:
        """A backward pass begins: what it returns is called when the pass is over."""
        runs: list[Run] = []
        self._look(roots, runs)
        return partial(self._pass_ends, runs) if runs else None

    @hook
    def _look(self, roots: list[Root], runs: list[Run]) -> None:
        if self.pending and self._by_hand.parts and self.on_new_pass is not None:
            self.on_new_pass()
            if not self._handles:
                return
        runs += self._by_hand.begin(roots, self._calls, self._arrived)
        if self._by_hand.notes:
            self.pending = True  # there is something to say even where no gradient will be seen
        self.seen = self.seen or bool(runs) or self.pending

    def _pass_ends(self, runs: list[Run]) -> None:
        for run in runs:
            run.unwatch()
        self._keep_runs(runs)

    @hook
    def _keep_runs(self, runs: list[Run]) -> None:
        self._by_hand.end(runs, full=self.keep == "full")

    def _watch_outputs(self, call: Call, output: Any) -> None:
        if call.is_cell:
            ends = output if isinstance(output, tuple) else (output,)
        else:
            y, ends = output[0], output[1] if isinstance(output[1], tuple) else (output[1],)
            self._watch(y.data if call.batch_sizes is not None else y, call, "y")
        call.c_is_total = call.is_cell and len(ends) == 2 and ends[0].grad_fn is not ends[1].grad_fn
        for part, end in zip("hc", ends, strict=False):
            self._watch(end, call, part)
        call.nodes = [(end.grad_fn, end.output_nr) for end in ends if end.grad_fn is not None]
        tails = self._tails[id(call.module)]
        if len(tails) == TAILS:
            tails[0].nodes = []  # lets go of the graph
        tails.append(call)

    def _watch(self, tensor: Tensor, record: Call | StateCall, key: str) -> None:
        handle = watch(tensor, record, key, self._arrived)
        if handle is not None:
            self._watching.append(handle)

    def _arrived(self) -> None:
        self.pending = True

    def _note_opaque(self, module: nn.Module) -> None:
        """Modules whose inside no hook can see."""
        if type(module).__name__ == "OptimizedModule":
            self._notes[type(module._orig_mod).__name__] = (  # type: ignore[union-attr]
                "it is compiled, and hooks do not see inside compiled code; "
                "run it without torch.compile to measure what is compiled"
            )
        elif isinstance(module, torch.jit.ScriptModule):
            inside = [type_name for each in module.modules() if (type_name := _script_name(each))]
            if inside:
                self._notes[self._names(module) or module.original_name] = (
                    f"its {inside[0]} is scripted (torch.jit) and cannot be seen; run the plain module to measure it"
                )


def _draws(module: nn.Module) -> bool:
    """Whether a call may draw random numbers that the analysis has to draw again."""
    if isinstance(module, nn.RNNBase):
        return module.dropout > 0 and module.num_layers > 1
    return getattr(module, "bptt_state", None) is not None


def _script_name(module: nn.Module) -> str:
    name = getattr(module, "original_name", "")
    return name if name in ("RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell") else ""


def _requires_grad(output: Any) -> bool:
    if isinstance(output, Tensor):
        return output.requires_grad
    if isinstance(output, tuple):
        return any(_requires_grad(each) for each in output if each is not None)
    return False


def _rng_state(module: nn.Module) -> Tensor:
    """The generator's state that the module's dropout will draw from; reading it changes nothing."""
    first = next(module.parameters(), None)
    if first is not None and first.is_cuda:
        return torch.cuda.get_rng_state(first.device)
    return torch.get_rng_state()
