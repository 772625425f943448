"""Not being there while torch.compile compiles.

Dynamo follows whatever a call comes by, global hooks too. It would compile ours along: a graph that breaks at them has
other kernels and other rounding, and with `fullgraph=True` the break is an error. What is compiled holds no trace of
what was absent then, and it is not compiled anew when hooks come and go. So ours are taken out of torch's tables when a
compilation begins, and put back in their places when it ends; the code between compiled pieces runs with them.
"""

import sys
from collections.abc import Iterable
from typing import Any

from torch.utils.hooks import RemovableHandle

from bptt.flow.record._shelter import tell

_absent: dict[int, RemovableHandle] = {}
"""Those that leave for a compilation, by their ids."""
_away: list[tuple[Any, int, Any, list[int]]] = []
"""Those that have left: the table, the id, the hook, the ids behind it."""


def leave_for_compilers(handles: Iterable[RemovableHandle]) -> None:
    """From now on these hooks are not there while something is compiled."""
    _absent.update((handle.id, handle) for handle in handles)
    look_for_compiler()


def leave_no_more(handles: Iterable[RemovableHandle]) -> None:
    """These hooks are removed."""
    for handle in handles:
        _absent.pop(handle.id, None)
    if not _absent:
        _away.clear()
        handler = _handler()
        for listed, ours in _lists(handler):
            if ours in listed:
                listed.remove(ours)


def look_for_compiler() -> None:
    """Have Dynamo tell when it compiles. It is imported late, by the first optimizer; `torch._dynamo.reset` forgets us.

    Example:
        >>> look_for_compiler()
    """
    if _absent:
        for listed, ours in _lists(_handler()):
            if ours not in listed:
                listed.append(ours)


def _handler() -> Any:
    return getattr(sys.modules.get("torch._dynamo.callback"), "callback_handler", None)


def _lists(handler: Any) -> list[tuple[list[Any], Any]]:
    if handler is None:
        return []
    return [(handler.start_callbacks, _leave), (handler.end_callbacks, _return)]


def _leave(_: object) -> None:
    try:
        _take_out()
    except Exception as fault:  # it is called as something is compiled: no place for `sheltered`
        tell(fault)


def _return(_: object) -> None:
    try:
        _put_back()
    except Exception as fault:
        tell(fault)


def _take_out() -> None:
    for handle in tuple(_absent.values()):
        table = handle.hooks_dict_ref()
        if table is not None and handle.id in table:
            ids = list(table)
            behind = ids[ids.index(handle.id) + 1 :]
            _away.append((table, handle.id, table.pop(handle.id), behind))


def _put_back() -> None:
    while _away:
        table, number, hook, behind = _away.pop()
        if number in _absent:
            table[number] = hook
            for other in behind:
                if other in table:
                    table.move_to_end(other)
