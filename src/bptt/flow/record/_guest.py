"""Manners of hooks in somebody else's process: when to look away, and how not to be noticed."""

from collections.abc import Callable

import torch
from torch.nn.modules import module as global_hooks
from torch.utils.hooks import RemovableHandle

from bptt.flow.record._compiler import leave_for_compilers, leave_no_more
from bptt.flow.record._shelter import sheltered

_OURS: set[int] = set()
_any_hook = global_hooks._has_any_global_hook


def _any_other_hook() -> bool:
    found = _others()
    return bool(_any_hook()) if found is None else found


@sheltered
def _others() -> bool:
    kinds = (
        global_hooks._global_backward_hooks,
        global_hooks._global_backward_pre_hooks,
        global_hooks._global_forward_hooks,
        global_hooks._global_forward_pre_hooks,
        global_hooks._global_forward_hooks_always_called,
        global_hooks._global_forward_hooks_with_kwargs,
    )
    return any(key not in _OURS for kind in kinds for key in kind)


def unnoticed(handles: list[RemovableHandle]) -> Callable[[], None]:
    """Let torch answer "is there any global hook?" as it would without ours; what is returned undoes that.

    Transformer layers leave their fast path for a hook, and compiled modules warn of it. Nor are they there while
    something is compiled.
    """
    ours = {handle.id for handle in handles}
    _OURS.update(ours)
    leave_for_compilers(handles)
    if global_hooks._has_any_global_hook is _any_hook:
        global_hooks._has_any_global_hook = _any_other_hook

    def undo() -> None:
        _OURS.difference_update(ours)
        leave_no_more(handles)
        if not _OURS and global_hooks._has_any_global_hook is _any_other_hook:
            global_hooks._has_any_global_hook = _any_hook

    return undo


def elsewhere() -> bool:
    """Whether the call is being compiled, traced or transformed: its tensors then stand for others."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._are_functorch_transforms_active()
        or torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FAKE) is not None
        or torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is not None
    )
