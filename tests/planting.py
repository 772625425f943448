"""Bugs of our own, planted: every function of the package that runs while a training is watched raises in turn.

Functions are found by running the training once under a profiler, so one that is added tomorrow is planted tomorrow.

    python tests/planting.py          # every function; a line of JSON for each one that did harm, then the counts
"""

import contextlib
import io
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import jaxtyping
import torch
from torch import Tensor, nn, optim
from torch.nn.modules import module as global_hooks
from torch.nn.utils import clip_grad, rnn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import bptt
from bptt.cli._session import Session
from bptt.doctor import Config, Logbook, Monitor, RunFolder, _behind, _detached, _process
from bptt.flow.record import _announce, _shelter
from bptt.remedies.clipping import _torch

PATCHED = [
    (place, name, vars(place)[name])
    for place, names in (
        (torch.autograd, ("backward", "grad")),
        (torch.Tensor, ("detach", "detach_", "backward")),
        (clip_grad, ("_clip_grads_with_norm_", "clip_grad_value_", "clip_grad_norm_")),
        (torch.nn.utils, ("clip_grads_with_norm_", "clip_grad_value_", "clip_grad_norm_")),
        (global_hooks, ("_has_any_global_hook",)),
    )
    for name in names
]
"""What of torch's is replaced while somebody watches, as it was before anybody did."""


def tables() -> list[dict[int, Any]]:
    """Torch's tables of hooks of the process: of modules, then of optimizers."""
    homes = [vars(global_hooks), vars(sys.modules[optim.Optimizer.__module__])]
    kinds = [home[name] for home in homes for name in home if name.startswith("_global_")]
    return [value for value in kinds if isinstance(value, dict)]


CHECKS = ("<@beartype", str(Path(jaxtyping.__file__).parent))
"""Frames that type checks put between a caller and what it calls, in tests."""

HOME = str(Path(bptt.__file__).parent)


ARMOUR = {
    ("cli/_session.py", "Session._guard"): "keeps the session's faults in",
    ("cli/_session.py", "Session.begin"): "called by `bptt run`, one guarded call after another",
    ("cli/_session.py", "Session.end"): "the same",
    ("doctor/_behind.py", "_told.<locals>.call"): "stands for torch's function, and calls it",
    ("doctor/_guard.py", "Guard.keeping"): "keeps the monitor's faults in",
    ("doctor/_monitor.py", "Monitor.__enter__"): "called by the script",
    ("doctor/_monitor.py", "Monitor.__exit__"): "the same",
    ("flow/_recorder.py", "hook.<locals>.wrapper"): "keeps the recorder's faults in",
    ("flow/record/_announce.py", "_announced.<locals>.call"): "stands for torch's function",
    ("flow/record/_shelter.py", "sheltered.<locals>.shelter"): "keeps faults of shared hooks in",
    ("remedies/clipping/_torch.py", "_wrap.<locals>.call"): "stands for torch's function",
}
"""What faults are kept in by, or what calls torch's own function: nothing stands before it, so nothing is planted."""


class Bug(Exception):
    """What a planted function raises."""


class Place(NamedTuple):
    """A function of the package: its file there, its name, its first line."""

    file: str
    name: str
    line: int


def place_of(frame: FrameType) -> Place | None:
    """Where a frame's function is; None outside the package, and for class bodies and modules."""
    code = frame.f_code
    if not code.co_filename.startswith(HOME) or code.co_name == "<module>":
        return None
    if not code.co_flags & 2:  # no function: the body of a class
        return None
    return Place(code.co_filename[len(HOME) + 1 :], code.co_qualname, code.co_firstlineno)


def reached(run: Callable[[], object]) -> dict[Place, bool]:
    """Every function of the package that `run` comes by; true if something else called it: torch, or the script."""
    found: dict[Place, bool] = {}

    def seen(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and (place := place_of(frame)) is not None:
            found[place] = found.get(place, False) or _from_outside(frame)

    threading.setprofile(seen)
    sys.setprofile(seen)
    try:
        run()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return found


def _from_outside(frame: FrameType) -> bool:
    caller = frame.f_back
    while caller is not None and caller.f_code.co_filename.startswith(CHECKS):
        caller = caller.f_back
    return caller is None or not caller.f_code.co_filename.startswith(HOME)


class Planted:
    """While it is entered, the function at `place` raises when it is called.

    Python takes a tracer that raises away; `again` puts it back, and the trainings below call that in each update.
    """

    def __init__(self, place: Place | None) -> None:
        self.place, self.raised = place, 0

    def __enter__(self) -> "Planted":
        self._before = sys.gettrace()
        threading.settrace(self._trace)
        self.again()
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)
        threading.settrace(self._before)  # type: ignore[arg-type]

    def again(self) -> None:
        """Raise again from now on."""
        if self.place is not None:
            sys.settrace(self._trace)

    def _trace(self, frame: FrameType, event: str, _: Any) -> None:
        place = self.place
        code = frame.f_code
        if place is None or code.co_firstlineno != place.line or code.co_name == "<module>":
            return
        if place_of(frame) == place:
            self.raised += 1
            raise Bug(f"planted in {place.name}")


# What is trained.


class Loop(nn.Module):
    """A recurrence by hand, its state cut once on the way, and a cell that declares its state."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.cell = nn.Linear(8, 4), Own()

    def forward(self, x: Tensor) -> Tensor:
        h = g = x.new_zeros(x.shape[1], 4)
        for t, row in enumerate(x):
            h = torch.tanh(self.w(torch.cat([row, h], 1)))
            g = self.cell(row, g)
            if t == 1:
                h = h.detach()
        return h + g


class Own(nn.Module):
    """A cell that declares its state."""

    bptt_state = {"h": 0}  # noqa: RUF012 -- as users write it

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 4)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.sigmoid(self.inner(torch.cat([x, h], 1)))


class Many(nn.Module):
    """A packed LSTM with dropout, an embedding, a GRU cell, and the loops."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.rnn = nn.LSTM(4, 4, 2, dropout=0.1)
        self.cell, self.loop, self.out = nn.GRUCell(4, 4), Loop(), nn.Linear(4, 1)

    def forward(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        x = self.words(ids)
        packed = pack_padded_sequence(x, torch.tensor([5, 3]))
        y, state = self.rnn(packed, state)
        rows = pad_packed_sequence(y)[0]
        h = rows.new_zeros(2, 4)
        for row in rows:
            h = self.cell(row, h)
        return self.out(h + self.loop(x) + rows.sum(0)).mean(), state


def stepped(again: Callable[[], None], updates: int = 4) -> bytes:
    """A training with an optimizer; in its last update but one the loss is not a number."""
    torch.manual_seed(0)
    model, state = Many(), None
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for update in range(updates):
        again()
        loss, state = model(torch.randint(0, 7, (5, 2)), state)
        state = tuple(each.detach() for each in state)
        optimizer.zero_grad()
        (loss * float("nan") if update == updates - 2 else loss).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if update != updates - 2:
            optimizer.step()
    return _bytes(model)


def by_hand(again: Callable[[], None], updates: int = 4) -> bytes:
    """A training that changes its weights itself."""
    torch.manual_seed(0)
    model = Loop()
    for _ in range(updates):
        again()
        loss = model(torch.randn(5, 2, 4)).square().mean()
        for parameter, grad in zip(
            model.parameters(), torch.autograd.grad(loss, list(model.parameters())), strict=True
        ):
            parameter.data.sub_(grad, alpha=0.1)
    return _bytes(model)


def _bytes(model: nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


# How it is watched.

Training = Callable[[Callable[[], None]], bytes]


def monitored(training: Training, folder: Path, bug: Planted) -> bytes:
    """Under a `Monitor` of the script's own; the bug is there from the moment that it is made."""
    monitor = Monitor(out=folder, budget=10.0)
    with bug, monitor:
        return training(bug.again)


def run(training: Training, folder: Path, bug: Planted) -> bytes:
    """As `bptt run` does it."""
    log = Logbook(RunFolder(folder), script="train.py")
    session = Session(log, Config(budget=10.0))
    with bug:
        session.begin()
        weights = training(bug.again)
        bug.again()
        session.end(None)
    return weights


class Outcome(NamedTuple):
    """What came of a planted bug: the weights' bytes, the lines that told of it, what reached the training.

    `noted`: the run's notes say that something could not be measured, and why: one site's trouble ends no watching.
    """

    weights: bytes | None
    told: list[str]
    escaped: str | None
    raised: int
    noted: bool


def outcome(watch: Callable[..., bytes], training: Training, place: Place | None) -> Outcome:
    """Train with a bug at `place`."""
    bug, said, weights, escaped = Planted(place), io.StringIO(), None, None
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(said):
        try:
            weights = watch(training, Path(name) / "run", bug)
        except Exception as error:
            escaped = f"{type(error).__name__}: {error}"
        finally:
            clean()
        noted = any(
            "planted in" in each.read_text() for each in Path(name).glob("run/findings.json")
        )
    told = [line for line in said.getvalue().splitlines() if "fault of" in line or "Bug" in line]
    return Outcome(weights, told, escaped, bug.raised, noted)


def clean() -> None:
    """A bug in what puts torch back leaves it as it is: the next training begins with a torch of its own."""
    for each in (_announce, _detached, _behind, _torch, _process, _shelter):
        for name in ("_listeners", "_watching", "_keepers", "_kept", "_put", "_originals"):
            if hasattr(each, name):
                getattr(each, name).clear()
    for table in tables():
        table.clear()
    for place, name, value in PATCHED:
        setattr(place, name, value)
    vars(rnn)["_VF"].__dict__.pop("_pad_packed_sequence", None)
    if "data" in torch.Tensor.__dict__:
        del torch.Tensor.data  # type: ignore[misc]


SCENES: dict[str, tuple[Callable[..., bytes], Training]] = {
    "monitor, optimizer": (monitored, stepped),
    "monitor, by hand": (monitored, by_hand),
    "bptt run, optimizer": (run, stepped),
    "bptt run, by hand": (run, by_hand),
}


@cache
def places(scene: str) -> dict[Place, bool]:
    """The functions that are reached in a scene, once imports are done with."""
    watch, training = SCENES[scene]
    outcome(watch, training, None)
    with contextlib.redirect_stderr(io.StringIO()), tempfile.TemporaryDirectory() as name:
        bug = Planted(None)
        return reached(lambda: watch(training, Path(name) / "run", bug))


def harm(scene: str, place: Place, wanted: bytes) -> str | None:
    """What a bug at that place did, in words; None if nothing but one line that says so."""
    found = outcome(*SCENES[scene], place)
    if found.escaped is not None:
        return f"it reached the training: {found.escaped}"
    if found.weights != wanted:
        return "the weights are others"
    if found.raised and len(found.told) != 1 and (found.told or not found.noted):
        return f"{len(found.told)} lines told of it: {found.told}"
    return None


def each(entries_only: bool = False) -> Iterator[tuple[str, Place, str | None]]:
    """Plant everywhere: scene, place, and the harm it did."""
    for scene, (_, training) in SCENES.items():
        wanted = training(lambda: None)
        for place, entry in sorted(places(scene).items()):
            if (entry or not entries_only) and (place.file, place.name) not in ARMOUR:
                yield scene, place, harm(scene, place, wanted)


if __name__ == "__main__":
    import time

    torch.set_num_threads(1)
    began = time.time()
    tried = lost = 0
    for scene, place, done in each("--entries" in sys.argv):
        tried, lost = tried + 1, lost + (done is not None)
        if done is not None:
            print(json.dumps([scene, *place, done]), flush=True)
    print(json.dumps({"tried": tried, "lost": lost, "seconds": time.time() - began}))
