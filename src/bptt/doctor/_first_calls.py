"""Recurrent modules looked at as they are first called: what begins badly is begun anew before it has cost an update.

The rules that read states and the growth of a gradient need no loss of the script's: the module is run by itself on
what it is given, with its last step as the loss. A cure is tried on the spot and looked at in the same way, and the
call then goes on with it. The first update's own probe has the last word: it judges the repair as any other.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as global_hooks

from bptt._signals import let_signals_pass
from bptt.doctor._diagnose import diagnose
from bptt.doctor._monitor import Monitor
from bptt.doctor._seen import _detached
from bptt.flow.record._guest import elsewhere, unnoticed
from bptt.rules import Finding

CODES = ("EG201", "SA301", "SA302", "SA303")
"""Rules that read states, and how a gradient grows on its way through them."""
LOUD = ("error", "warning")

Cure = Callable[[nn.Module, Finding, Any, Callable[[], list[Finding]]], None]
"""Called with a module, what is wrong with it, its input, and a way to look again."""


class FirstCalls:
    """Looks at each recurrent module of the process at its first call in training, until `close`.

    Args:
        monitor: looks away meanwhile.
        cure: what is done for the first finding.

    Attributes:
        looking: whether some monitor's module is being looked at at present: its passes are none of the script's.
    """

    looking = False

    def __init__(self, monitor: Monitor, cure: Cure) -> None:
        self.monitor, self.cure = monitor, cure
        self._seen: set[int] = set()
        self._handle: Any = global_hooks.register_module_forward_pre_hook(self._called)
        self._notice = unnoticed([self._handle])

    def close(self) -> None:
        """Look no more. A second call does nothing."""
        if self._handle is not None:
            self._handle.remove()
            self._notice()
            self._handle = None

    def _called(self, module: nn.Module, args: Any) -> Any:
        """Before a call; what it is given is handed on as a new remedy of the module's makes it."""
        if FirstCalls.looking or not isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
            return None
        if id(module) in self._seen or not (module.training and torch.is_grad_enabled()):
            return None
        if elsewhere() or not args:
            return None
        self._seen.add(id(module))
        before = set(module._forward_pre_hooks)
        try:
            findings = self._look(module, args)
        except Exception as error:
            let_signals_pass(error)
            return None  # what cannot be measured the first probe tells, what cannot be called the call itself
        with self.monitor._loop.guard.keeping():
            if findings:
                self.cure(module, findings[0], args[0], lambda: self._look(module, args))
            return _handed_on(module, args, before)
        return None

    def _look(self, module: nn.Module, args: Any) -> list[Finding]:
        """What is wrong with a module on what it is given."""
        loop, sentinel = self.monitor._loop, self.monitor.case.sentinel
        recording, watching = loop.probes.recording, sentinel.forward.on
        FirstCalls.looking, hooks = True, module._forward_hooks
        # The script's own are to hear of its own calls only.
        module._forward_hooks = OrderedDict()
        try:
            if watching:
                sentinel.stop()
            if recording:
                loop.probes.recorder.stop()
            found = diagnose(module, _detached(args), loss=_last, select=CODES).findings
        finally:
            FirstCalls.looking, module._forward_hooks = False, hooks
            if recording:
                loop.probes.recorder.start()
            if watching:
                sentinel.start()
        return [each for each in found if each.severity in LOUD]


def _last(output: Any) -> Tensor:
    """The last state of each layer and direction."""
    state = output[-1] if isinstance(output, tuple) else output
    parts = state if isinstance(state, tuple) else (state,)
    return torch.stack([part.float().sum() for part in parts]).sum()


def _handed_on(module: nn.Module, args: Any, before: set[int]) -> Any:
    """The arguments as hooks make them that have come to the module meanwhile: torch will not ask those any more."""
    for key, hook in tuple(module._forward_pre_hooks.items()):
        if key in before:
            continue
        if key in module._forward_pre_hooks_with_kwargs:
            given = hook(module, args, {})
            args = args if given is None else given[0]
        else:
            given = hook(module, args)
            args = args if given is None else given if isinstance(given, tuple) else (given,)
    return args
