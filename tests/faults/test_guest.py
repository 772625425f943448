"""A guest leaves the house as it was: torch's tables of hooks and its functions, before, amid and after a run."""

import cProfile
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import planting
from bptt.doctor import Monitor
from bptt.flow.record._alive import alive
from planting import PATCHED, SCENES, Planted, stepped, tables


def torch_now() -> tuple[Any, ...]:
    """What a monitor may have touched: hooks of the process, and functions by their identity."""
    hooks = [sorted(map(repr, table.items())) for table in tables()]
    functions = [id(vars(place)[name]) for place, name, _ in PATCHED]
    own = "data" in vars(torch.Tensor), "_pad_packed_sequence" in vars(planting.rnn)["_VF"].__dict__
    return (
        hooks,
        functions,
        own,
        sys.excepthook,
        sys.gettrace(),
        sys.getprofile(),
        list(sys.meta_path),
    )


@pytest.mark.parametrize("scene", SCENES)
def test_every_hook_and_patch_is_taken_back(scene: str, tmp_path: Path) -> None:
    watch, training = SCENES[scene]
    before, amid = torch_now(), list[Any]()
    watch(lambda again: training(lambda: amid.append(torch_now())), tmp_path / "run", Planted(None))
    assert all(each != before for each in amid), "it was there"
    assert torch_now() == before


@pytest.fixture
def unwrapped(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Torch as it was, whatever was put over our wrappers, which `undo` finds again."""
    yield monkeypatch
    monkeypatch.undo()
    planting.clean()


def test_a_script_that_wraps_torch_itself_amid_the_run(
    tmp_path: Path, unwrapped: pytest.MonkeyPatch
) -> None:
    """Its wrappers stay where it put them, over ours, and ours are passed through once nobody watches."""
    wanted, called = stepped(lambda: None), Counter[str]()
    weight = nn.Parameter(torch.ones(1))
    weight.grad = torch.ones(1)

    def counted(place: Any, name: str, key: str) -> None:
        original = getattr(place, name)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            called[key] += 1
            return original(*args, **kwargs)

        unwrapped.setattr(place, name, wrapper)

    with Monitor(out=tmp_path / "run", budget=10.0) as monitor:
        counted(torch.autograd, "backward", "backward")
        counted(nn.Module, "__call__", "call")
        counted(torch.optim.Adam, "step", "step")
        counted(nn.utils, "clip_grad_norm_", "clip")
        counted(nn.utils, "clip_grad_value_", "value")
        nn.utils.clip_grad_value_([weight], 1.0)
        assert stepped(lambda: None) == wanted
    assert (monitor.fault, monitor.updates) == (None, 3)
    assert monitor.flow is not None
    assert {"rnn.l0", "rnn.l1"} <= set(monitor.flow.sites)
    assert called.pop("value") == 1
    nn.utils.clip_grad_value_([weight], 1.0)
    assert called.pop("value") == 1, "it was taken away"
    first = dict(called)
    assert min(first.values()) >= 3
    assert stepped(lambda: None) == wanted, "with its wrappers and without us"
    assert 2 * called.pop("call") > first["call"], "a watched cell is called again, to measure it"
    assert called == {key: 2 * first[key] for key in called}


def test_profilers_and_a_debugger_beside_a_monitor(tmp_path: Path) -> None:
    """They see the training, and it and the measurement are as without them."""
    wanted = stepped(lambda: None, 3)
    lines, profile = [0], cProfile.Profile()

    def debugger(frame: Any, event: str, _: Any) -> Any:
        lines[0] += frame.f_code is planting.stepped.__code__
        return debugger if frame.f_code is planting.stepped.__code__ else None

    before = sys.gettrace()
    with (
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen,
        Monitor(out=tmp_path / "b", budget=10.0) as monitor,
    ):
        sys.settrace(debugger)
        try:
            assert profile.runcall(stepped, lambda: None, 3) == wanted
        finally:
            sys.settrace(before)
    assert (monitor.fault, monitor.updates) == (None, 2)
    assert {"cell", "loop", "loop.cell", "rnn.l0", "rnn.l1"} <= set(monitor.tally.sites)
    assert lines[0] > 20
    assert any("lstm" in each.key for each in seen.key_averages())


def test_two_monitors_of_two_models(tmp_path: Path) -> None:
    """Each sees its own."""
    models = [nn.GRU(2, 3), nn.LSTM(2, 3)]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    before = torch_now()
    with (
        Monitor(models[0], optimizers[0], out=tmp_path / "a") as first,
        Monitor(models[1], optimizers[1], out=tmp_path / "b") as second,
    ):
        for _ in range(3):
            for model, optimizer in zip(models, optimizers, strict=True):
                optimizer.zero_grad()
                model(torch.randn(4, 2, 2))[0].square().mean().backward()
                optimizer.step()
    kinds = [each.tally.sites["l0"]["kind"] for each in (first, second)]
    assert (kinds, first.updates, second.updates) == (["gru", "lstm"], 3, 3)
    assert torch_now() == before


@pytest.mark.parametrize(
    "name", ["Recorder._after", "Forward._look", "Loop._before_step", "Sentinel._pass"]
)
def test_a_script_whose_signal_handler_raises_amid_our_code(name: str, tmp_path: Path) -> None:
    """A timeout of the script's own is the script's, wherever it strikes; the watching goes on."""

    def late(*_: object) -> None:
        raise TimeoutError("of the script's own")

    def strike(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_qualname == name and not struck:
            struck.append(name)
            sys.setprofile(None)
            signal.raise_signal(signal.SIGUSR1)

    struck, caught, profiled = list[str](), list[str](), sys.getprofile()
    before = signal.signal(signal.SIGUSR1, late)
    model = nn.GRU(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    try:
        with Monitor(model, optimizer, out=tmp_path / "run") as monitor:
            sys.setprofile(strike)
            for _ in range(4):
                try:
                    optimizer.zero_grad()
                    model(torch.randn(4, 2, 2))[0].square().mean().backward()
                    optimizer.step()
                except TimeoutError as error:
                    caught.append(str(error))
    finally:
        sys.setprofile(profiled)
        signal.signal(signal.SIGUSR1, before)
    assert (struck, caught) == ([name], ["of the script's own"])
    assert (monitor.fault, monitor.updates) == (None, 3)


def test_threads_make_tuples_as_we_look_for_what_is_alive() -> None:
    """Whoever holds a tuple that is still being filled has `tuple(...)` raise a `SystemError` in its thread."""
    faults, over, interval = list[SystemError](), threading.Event(), sys.getswitchinterval()

    def work() -> None:
        while not over.is_set():
            try:
                tuple(n for n in range(200))
            except SystemError as fault:
                faults.append(fault)

    model, threads = nn.LSTM(2, 3), [threading.Thread(target=work) for _ in range(2)]
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        found = [alive(nn.Module) for _ in range(30)]
    finally:
        over.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert faults == []
    assert all(any(each is model for each in modules) for modules in found)
