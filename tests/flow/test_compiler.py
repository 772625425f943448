"""Hooks that are not there while something is compiled, and then are again, in their places."""

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
from torch import nn
from torch.nn.modules import module as global_hooks

from bptt.flow.record._compiler import leave_for_compilers, leave_no_more, look_for_compiler
from bptt.flow.record._shelter import keep_faults, keep_no_more


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """In the place of Dynamo's."""
    module = ModuleType("torch._dynamo.callback")
    told = SimpleNamespace(start_callbacks=[], end_callbacks=[])
    vars(module)["callback_handler"] = told
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield told
    assert told == SimpleNamespace(start_callbacks=[], end_callbacks=[])


def test_a_fault_of_ours_does_not_end_the_compilation(
    handler: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Exception] = []
    handle = global_hooks.register_module_forward_hook(lambda *_: None)
    leave_for_compilers([handle])
    monkeypatch.setattr("bptt.flow.record._compiler._take_out", lambda: 1 / 0)
    keep_faults(kept.append)
    try:
        handler.start_callbacks[0](None)
    finally:
        keep_no_more(kept.append)
        handle.remove()
        leave_no_more([handle])
    assert [type(each) for each in kept] == [ZeroDivisionError]


def test_they_leave_and_come_back_in_their_order(handler: SimpleNamespace) -> None:
    called: list[str] = []
    add = global_hooks.register_module_forward_hook

    def named(name: str) -> None:
        each[name] = add(lambda *_: called.append(name))

    each, module = {}, nn.Identity()
    for name in "abcd":
        named(name)
    ours = [each["a"], each["c"]]
    leave_for_compilers(ours)
    look_for_compiler()  # once more makes no difference
    (begins,), (ends,) = handler.start_callbacks, handler.end_callbacks
    module(1)
    begins(None)
    module(2)
    ends(None)
    module(3)
    assert "".join(called) == "abcd" + "bd" + "abcd"
    begins(None)
    ours[0].remove()
    leave_no_more(ours[:1])  # while it is away
    ends(None)
    called.clear()
    module(4)
    assert "".join(called) == "bcd"
    for handle in each.values():
        handle.remove()
    leave_no_more(ours)
