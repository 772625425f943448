"""The short form of the fuzzing of what reads run folders; the long one is benchmarks/fuzz/run.py."""

import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fuzz import folders
from fuzz.targets import TARGETS


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


# "options" is for benchmarks/fuzz/run.py alone: the parser passes None where a flag is annotated bool, which the
# type checks of these tests refuse.
@pytest.mark.parametrize("target", ["flows", "replays", "models", "sweeps", "configs", "words"])
def test_files_and_options_are_refused_or_read(target: str, memory: Path) -> None:
    run(TARGETS[target](memory), 150)


# Inputs that failed once, as benchmarks/fuzz/run.py printed them; each was mended where it was found.
FOUND = {
    "folders": [
        "1ece87545758de781ef34f8ff48dc7198711925aa2e2256f5544f250b916639cbfc9f2a3bc17bbe9",
        "1ed9138527626922b878f0925042e785",
        "c18190ed374b3f6d",
        "a9726bf6fe74e63dbe855589debd4f96",
        "2bfcf050f559de00748da9367998a803",
        "bcbf15bed8d5aa9c0a55a0910ccd60bac3c7e866cd5f62db38b3adeaf6427f6c818f81d54e696952",
    ],
    "pages": [
        "c23a9ac655577e9a7cc8f4f0a60fd899080740c671545e4b06cc521b951f7b574d5987b1d4e05617",
        "ae06266690a6008a7e3d84f1f6cbb4e9f27d99b6203c721c38b6e31ad93b299e483ec78d00ef6b31",
        "0580522fac38fc4dcd127ba33d390032",
        "387a86c709219e803d0ed1b283f51186f2668c6b06bfd18174e6284e5d570bf294b90a1daef74b25",
        "f8846ec293bb2c48277a3f93e8a3f5",
    ],
    "flows": ["6aea58dc775e18c237f73d2530074c3b", "0ad03885f19443de"],
    "replays": [
        "5cda203037906e8c3603daffa5a489f6",
        "8821989ff07c7725",
        "e035b0929692899c",
        "2cf5e3e78cbf6a63",
        "025a9ebb1f24276a",
    ],
    "models": [
        "3314d5051d03538b155bf56cdaa3df9e1debfb196ab7fdd5221c8a4249cdeb11794488388fbc6c12",
        "41dfb3471d0dcfa18e6ae8fb1dd98805",
        "5bf40d9e56c1f821997845a1c5daeb527f78f41a3e6c38b398af948c595b24a69e3bbf5880cae931",
        "a51c243c51a02b051d548f0a0c06e8c9211171180d84d6d2b75fe0ee9fd9e8ba3b14e54f01216b17",
        "8833540f118b6fa63968e1715af96197421a111af3f6fc8ab2deb989e19e499082dfb9c746570528",
        "1cea773e657fd5ba626ffd647fe26828626f481a9c336912c34012400311eefbd93bd3a848fbd381",
        "98d8f76dc47b8d09",
        "d4a8767381d6a687ec576976774f6596",
    ],
    "sweeps": [
        "60a445e28f04f609",
        "fab428f762e6e282e5c1657c78c3a967",
        "64fc4dc33be62044",
        "44aa5d6afd2d090536fbb351fb0ef7f1",
    ],
    "configs": [
        "2879abd758278b14",
        "1399d064b71e758e",
        "1b4ee7bbfaca7c463830dfac7b3a1eb56a9f513095b5b2195c8a8c59fa0b7a7d6415ac4517a7455a",
    ],
    "words": ["ca85588b93f5e747", "60da020aed8fdd7a2583b89e18f20f1a"],
}


@pytest.mark.parametrize("target", FOUND)
def test_inputs_that_failed_once(target: str, memory: Path) -> None:
    case = TARGETS[target](memory)
    for each in FOUND[target]:
        case(bytes.fromhex(each))
