"""The short form of the fuzzing of what reads run folders; the long one is benchmarks/fuzz/run.py."""

import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fuzz import folders


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on a disk in memory where there is one: a case writes several files."""
    fast = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None) as folder:
        yield Path(folder)


def run(case: Callable[[bytes], None], cases: int, seed: int = 0) -> None:
    """So many inputs; the one that fails is in the traceback."""
    draw = random.Random(seed)
    for _ in range(cases):
        case(draw.randbytes(draw.choice((8, 16, 40))))


def test_two_thousand_run_folders_are_refused_or_read(memory: Path) -> None:
    run(folders.reader(memory), 2000)


def test_whatever_is_read_is_shown(memory: Path) -> None:
    run(folders.pages(memory), 60)


# Inputs that failed once, as benchmarks/fuzz/run.py printed them; each was mended where it was found.
FOUND = [
    "1ece87545758de781ef34f8ff48dc7198711925aa2e2256f5544f250b916639cbfc9f2a3bc17bbe9",
    "1ed9138527626922b878f0925042e785",
    "c18190ed374b3f6d",
    "a9726bf6fe74e63dbe855589debd4f96",
    "2bfcf050f559de00748da9367998a803",
]
SHOWN = [
    "c23a9ac655577e9a7cc8f4f0a60fd899080740c671545e4b06cc521b951f7b574d5987b1d4e05617",
    "ae06266690a6008a7e3d84f1f6cbb4e9f27d99b6203c721c38b6e31ad93b299e483ec78d00ef6b31",
    "0580522fac38fc4dcd127ba33d390032",
    "387a86c709219e803d0ed1b283f51186f2668c6b06bfd18174e6284e5d570bf294b90a1daef74b25",
    "f8846ec293bb2c48277a3f93e8a3f5",
]


@pytest.mark.parametrize(("target", "inputs"), [("reader", FOUND), ("pages", SHOWN)])
def test_inputs_that_failed_once(target: str, inputs: list[str], memory: Path) -> None:
    case = getattr(folders, target)(memory)
    for each in inputs:
        case(bytes.fromhex(each))
