"""`bptt watch`: a run that goes on in another terminal, seen through its folder."""

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from bptt.cli import _page
from bptt.cli._pipe import reader_may_leave
from bptt.doctor import Run, RunFolder, RunFolderError, open_run
from bptt.report import Glance, Pace, can_encode, clean, console, glance_of, line, show, view
from bptt.report.terminal import folded

LOOK, WORK = 0.5, 5.0
"""Seconds between two looks at least, and of the time that a look takes: a large folder is read more seldom."""
INTERRUPTED, TERMINATED, UNUSABLE = 130, 143, 2
KILLED = (
    "bptt: nobody writes to this folder any more, and the run wrote no end: it was killed, or its machine stopped. "
    "What is shown is what it had last written."
)


def watch(folder: Path, *, once: bool, wait: float) -> None:
    """Show the run until it ends, then its page.

    Args:
        folder: its folder, which may not be there yet.
        once: show what there is by now, and leave.
        wait: seconds for which a folder may be missing.
    """
    out = console(sys.stdout)
    try:
        with _terminated(), reader_may_leave():
            _watch(folder, out, once=once, wait=wait)
    except RunFolderError as error:
        _leave(clean(error, 4096))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _watch(folder: Path, out: Console, *, once: bool, wait: float) -> None:
    seen = Seen(folder)
    _await(seen, out, 0.0 if once else wait)
    run, glance = seen.look()
    if glance.state == "running" and once:
        for row in view(run, glance, out.width, None, ascii_only=not can_encode(out.encoding)):
            out.print(row, soft_wrap=True)
        return
    if glance.state == "running":
        run, glance = _on_screen(seen, out) if out.is_terminal else _in_lines(seen, out)
    show({**run.run, "state": glance.state}, run.tally(), out, str(folder), _page.where(folder))
    for sentence in run.damage:
        out.print(clean(f"damaged: {sentence}"), soft_wrap=True)
    if glance.state == "killed":
        for row in folded(Text(KILLED), out) if out.is_terminal else [KILLED]:
            out.print(row, soft_wrap=True)


class Seen:
    """A run folder, read again when there is something new.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pace = Pace()
        self._key: tuple[object, ...] = ()
        self._last: Run | None = None
        self.cost = 0.0  # seconds that the last reading took

    @property
    def there(self) -> bool:
        """Whether the folder is that of a run by now."""
        return (self.folder / "run.json").is_file()

    def look(self) -> tuple[Run, Glance]:
        """The run now."""
        alive = RunFolder.in_use(
            self.folder
        )  # first: a run that ends meanwhile has written its end
        key = (alive, *_marks(self.folder))
        if self._last is None or key != self._key:
            began = time.monotonic()
            self._last, self._key = open_run(self.folder), key
            self.cost = time.monotonic() - began
        glance = glance_of(self._last, alive=alive)
        if glance.state == "running":
            speed = self._pace.at(time.monotonic(), glance.updates)
            glance = replace(glance, speed=speed, seconds=glance.seconds + _age(self.folder))
        return self._last, glance


def _age(folder: Path) -> float:
    """Seconds since the run has last said how long it runs."""
    try:
        return max(time.time() - (folder / "run.json").stat().st_mtime, 0.0)
    except OSError:
        return 0.0


def _marks(folder: Path) -> Iterator[tuple[int, int]]:
    """What tells that a file has changed."""
    for each in sorted(folder.glob("*.json*")):
        with contextlib.suppress(OSError):
            status = each.stat()
            yield status.st_mtime_ns, status.st_size


def _await(seen: Seen, out: Console, wait: float) -> None:
    """Until the run has made its folder."""
    end, said = time.monotonic() + wait, False
    while not seen.there:
        if time.monotonic() >= end or seen.folder.is_file():
            raise RunFolderError(
                f"{seen.folder} is not a run folder of bptt{_waited(wait)}; give the folder that a run was told with "
                "--out DIR, or that it named"
            )
        if not said and out.is_terminal:
            out.print(Text(clean(f"bptt: waiting for a run in {seen.folder} …", 4096), style="dim"))
        said = True
        time.sleep(min(LOOK, max(end - time.monotonic(), 0.01)))


def _waited(wait: float) -> str:
    return f", and did not become one within {wait:g} s" if wait else ""


def _on_screen(seen: Seen, out: Console) -> tuple[Run, Glance]:
    """On the terminal's other screen, so that what stood on this one is there again afterwards."""
    ascii_only = not can_encode(out.encoding)
    foot = Text(clean(f"Ctrl-C leaves the run alone · {seen.folder}"), style="dim", no_wrap=True)
    with Live(console=out, screen=True, auto_refresh=False, vertical_overflow="crop") as live:

        def draw(run: Run, glance: Glance) -> None:
            columns, rows = out.size
            made = view(run, glance, columns, max(rows - 1, 1), ascii_only=ascii_only)
            gap = [Text("")] * (rows - 1 - len(made))
            live.update(Group(*made, *gap, *([foot] if rows > 1 else [])), refresh=True)

        return _follow(seen, draw)


def _in_lines(seen: Seen, out: Console) -> tuple[Run, Glance]:
    """Not on a terminal: a line when there is news."""
    told: set[tuple[str, str]] = set()
    probes = [0]

    def tell(run: Run, glance: Glance) -> None:
        if len(run.records) > probes[0]:
            probes[0] = len(run.records)
            out.print("".join(text for text, _ in line(glance, 300)), soft_wrap=True)
        for each in glance.worst:
            key = (str(each.get("code")), str(each.get("site")))
            if key not in told:
                told.add(key)
                out.print(
                    clean(f"{each.get('severity')} {key[0]} {key[1]}: {each.get('message', '')}"),
                    soft_wrap=True,
                )
        out.file.flush()

    return _follow(seen, tell)


def _follow(seen: Seen, show: Callable[[Run, Glance], None]) -> tuple[Run, Glance]:
    while True:
        run, glance = seen.look()
        show(run, glance)
        if glance.state != "running":
            return run, glance
        time.sleep(max(LOOK, WORK * seen.cost))


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM leaves as an exception does: the terminal is given back first."""

    def leave(number: int, frame: object) -> NoReturn:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _leave(sentence: str) -> NoReturn:
    print(f"bptt: {sentence}", file=sys.stderr)
    raise SystemExit(UNUSABLE)
