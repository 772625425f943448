"""Faults of every kind, at random moments: how many were tried, survived, lost?

    OMP_NUM_THREADS=1 python benchmarks/faults.py --kills 50 --injections 1000 --plants 400 --workers 5

`--plants 0` plants a bug in every function that runs while a training is watched, thousands: some hours. The tests of
`tests/faults` are the short form. Rows of parts that are not run again stay (`--only kills plants`).
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _report import RESULTS, write

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

WORKER = """
import os, signal, sys, torch
class Data(torch.utils.data.Dataset):
    def __len__(self): return 64
    def __getitem__(self, n):
        if n == int(sys.argv[1]): os.kill(os.getpid(), signal.SIGKILL)
        return torch.ones(5, 2) * n
torch.manual_seed(0)
model = torch.nn.GRU(2, 4, batch_first=True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for x in torch.utils.data.DataLoader(Data(), batch_size=4, num_workers=1):
    optimizer.zero_grad()
    model(x / 64)[0].square().mean().backward()
    optimizer.step()
"""

WORKER_DIED = r"^(RuntimeError: DataLoader worker|ConnectionResetError|EOFError)"

TESTS = {
    "disk full, at the start, amid a run, for a while": ("doctor/test_faults.py", "disk"),
    "run folder read-only": ("doctor/test_faults.py", "written"),
    "run folder deleted under the run": ("doctor/test_faults.py", "deleted"),
    "clocks that jump": ("doctor/test_faults.py", "clocks"),
    "two runs given one folder": ("doctor/test_faults.py", "one_folder"),
    "bptt train: disk full, text gone": (
        "lm/test_train.py",
        "disk or vanished",
    ),
}
DAMAGED = {
    "files of a run folder, cut or with bits flipped": ("doctor/test_damage.py", "thousand", 1000),
    "checkpoints and models, cut or with bits flipped": ("lm/test_keep.py", "damaged", 300),
}


def row(fault: str, tried: int, lost: list[str]) -> dict[str, Any]:
    return {"fault": fault, "tried": tried, "survived": tried - len(lost), "lost": lost}


def kills(number: int) -> Iterator[dict[str, Any]]:
    """`bptt run`, ended by signals; a program of its own, since it forks."""
    program = [sys.executable, str(ROOT / "tests" / "killing.py"), str(number), "1"]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    for name, (tried, *lost) in json.loads(done.stdout.splitlines()[-1]).items():
        yield row(f"bptt run ended by {name} at a random moment", tried, lost)
    path = RESULTS / "lm_kills.json"
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))["rows"]
        wrong = [name for name, same in found["same"].items() if not same]
        yield row("bptt train killed, resumed: every bit as if left alone", len(found["at"]), wrong)


def injections(number: int) -> Iterator[dict[str, Any]]:
    """NaN and infinity, by where they were put."""
    from injecting import CODES, drawn, wrong

    cases = [drawn(seed) for seed in range(number)]
    for where in CODES:
        own = [case for case in cases if case.where == where]
        lost = [said for case in own if (said := wrong(case)) is not None]
        yield row(
            f"NaN or infinity in {where}, at a random update, step and sample", len(own), lost
        )


def plants(number: int) -> Iterator[dict[str, Any]]:
    """Bugs of our own: the same weights, and one line that says what failed."""
    from planting import ARMOUR, SCENES, harm, places

    draw = random.Random(0)
    for scene, (_, training) in SCENES.items():
        wanted = training(lambda: None)
        found = [(p, door) for p, door in places(scene).items() if (p.file, p.name) not in ARMOUR]
        doors, inside = [p for p, door in found if door], [p for p, door in found if not door]
        if number:
            inside = draw.sample(inside, min(number // len(SCENES), len(inside)))
        for what, planted in (("that torch or the script calls", doors), ("within", inside)):
            told = {place: harm(scene, place, wanted) for place in planted}
            lost = [f"{p.file} {p.name}: {said}" for p, said in told.items() if said is not None]
            yield row(f"bug planted in a function {what} ({scene})", len(planted), lost)


def workers(number: int) -> Iterator[dict[str, Any]]:
    """A DataLoader's worker dies: the script ends as it does without us, and its folder is whole."""
    from bptt.doctor import open_run

    draw, lost = random.Random(0), list[str]()
    with tempfile.TemporaryDirectory() as home:
        script = Path(home) / "train.py"
        script.write_text(WORKER, encoding="utf-8")
        for n in range(number):
            folder, at = Path(home) / str(n), str(draw.randrange(64))
            run = ["-m", "bptt", "run", "--out", str(folder)]
            plain, ours = (
                subprocess.run(
                    [sys.executable, *each, str(script), at], capture_output=True, text=True
                )
                for each in ([], run)
            )
            # Which of torch's errors it is depends on who notices first: its handler, the loop, the queue.
            same = all(re.search(WORKER_DIED, each.stderr, re.MULTILINE) for each in (plain, ours))
            held = open_run(folder)
            if plain.returncode != ours.returncode or not same:
                lost.append(
                    f"worker died at {at}: {ours.stderr[-200:]}, exit code {ours.returncode}"
                )
            elif held.damage or held.run["state"] != "failed" or "fault of bptt" in ours.stderr:
                lost.append(f"worker died at {at}: {held.run['state']}, {held.damage}")
    yield row("a DataLoader's worker dies under bptt run", number, lost)


def tests(number: int) -> Iterator[dict[str, Any]]:
    """Faults that have tests of their own, and the damaged files."""
    for fault, (file, chosen, *count) in {**TESTS, **DAMAGED}.items():
        command = [sys.executable, "-m", "pytest", "-q", f"tests/{file}", "-k", chosen]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        passed = sum(map(int, re.findall(r"(\d+) passed", done.stdout)))
        failed = re.findall(r"^(?:FAILED|ERROR) (.*)", done.stdout, re.MULTILINE)
        if not passed and not failed:
            raise SystemExit(f"{' '.join(command)} ran no test:\n{done.stdout}{done.stderr}")
        yield row(fault, count[0] if count else passed + len(failed), failed)


PARTS = {
    "kills": kills,
    "injections": injections,
    "plants": plants,
    "workers": workers,
    "tests": tests,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for part, number in zip(PARTS, (50, 1000, 400, 5, 0), strict=True):
        parser.add_argument(f"--{part}", type=int, default=number)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    path = RESULTS / "faults.json"
    known = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else {}
    for part in args.only:
        rows = []
        for each in PARTS[part](getattr(args, part)):
            rows.append(each)
            print(
                each["fault"],
                each["tried"],
                len(each["lost"]),
                *each["lost"][:5],
                sep=" · ",
                flush=True,
            )
        known[part] = rows
        write("faults", {name: known[name] for name in PARTS if name in known})
    raise SystemExit(any(each["lost"] for rows in known.values() for each in rows))


if __name__ == "__main__":
    main()
