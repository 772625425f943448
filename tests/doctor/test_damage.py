"""A thousand damaged files: each is refused by name or used in part with its name told; none is taken as good."""

import hashlib
import io
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bptt
from bptt.doctor import Logbook, ReplayError, Run, RunFolder, RunFolderError, open_run, replay
from bptt.doctor._incident import Place
from bptt.doctor._keep import keep, pack
from bptt.doctor._seen import Seen
from bptt.doctor._series import Update

SERIES = ("flow.jsonl", "spectra.jsonl", "updates.jsonl")
DOCUMENTS = ("run.json", "findings.json")
CASES = 1000
FINDING = {
    "code": "VG101",
    "site": "rnn.l0",
    "severity": "error",
    "update": 1,
    "message": "too short",
}


def written(path: Path, *, finished: bool) -> None:
    """A run folder as a run of 40 updates leaves it, or as it leaves it when it is killed."""
    log = Logbook(RunFolder(path), script="träin.py", argv=["--lr", "0.1"])
    log.begin()
    log.tally.verdict = [FINDING]
    for n in range(1, 41):
        log.saw([Update(n, 1.0 / n, float(n), 1.0, 0.5, 1e-3)])
        if n in (1, 3, 10, 30):
            site = {"kind": "lstm", "horizon": n, "total": [[t, 0.5**t] for t in range(9)]}
            log.add_spectra({"update": n, "sites": {"rnn.l0": {"gates": {"i": {"radius": 0.5}}}}})
            note = {"subject": "rnn", "reason": "a line of text"}
            log.add({"update": n, "sites": {"rnn.l0": site}, "notes": [note]}, n, 0.1)
    if finished:
        log.end("finished", 0)
    log.release()


def incident(path: Path) -> None:
    """A kept update of a module whose state overflows."""
    rnn, x = nn.RNN(2, 3, nonlinearity="relu"), torch.full((4, 1, 2), 1e38)
    with torch.no_grad():
        for weight in rnn.parameters():
            weight.fill_(10.0)
        seen = Seen(rnn, "rnn_relu", (x,), {}, rnn(x))
    keep(path, pack([seen], [x], Place("forward", "l0", "inf", step=0), 7, lambda module: "rnn"))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, a killed one, a kept update and a saved flow."""
    folder = tmp_path_factory.mktemp("good")
    torch.manual_seed(0)
    written(folder / "finished", finished=True)
    written(folder / "killed", finished=False)
    incident(folder / "nonfinite.pt")
    flow = bptt.measure(nn.GRU(2, 3), torch.randn(4, 2, 2), loss=lambda out: out[0].sum())
    flow.save(folder / "flow.json")
    return folder


def files(good: Path) -> list[Path]:
    inside = [good / run / name for run in ("finished", "killed") for name in (*SERIES, *DOCUMENTS)]
    return [*inside, good / "nonfinite.pt", good / "flow.json"]


def truncated(data: bytearray, draw: random.Random) -> None:
    del data[draw.randrange(len(data)) :]


def cut_at_a_line(data: bytearray, draw: random.Random) -> None:
    ends = [n + 1 for n, byte in enumerate(data) if byte == ord("\n")] or [0]
    del data[draw.choice([0, *ends[:-1]]) :]


def flipped(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice([1, 1, 2, 7])):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def zeroed(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data))
    stop = min(start + draw.choice([1, 16, 512, 4096]), len(data))
    data[start:stop] = bytes(stop - start)


def doubled(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data))
    piece = data[start : start + draw.choice([1, 30, 1000])]
    data[start:start] = piece


def taken_out(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data))
    del data[start : start + draw.choice([1, 30, 1000])]


def lines_exchanged(data: bytearray, draw: random.Random) -> None:
    rows = bytes(data).splitlines(keepends=True)
    draw.shuffle(rows)
    data[:] = b"".join(rows[: draw.randrange(1, len(rows) + 1)])


KINDS = [truncated, cut_at_a_line, flipped, flipped, zeroed, doubled, taken_out, lines_exchanged]


def outcome(file: Path, whole: Any) -> str:
    """What reading it comes to: "refused", "named", "equal" or "shorter". All else, and each of these where it is not
    so, is a failure.
    """
    try:
        found = read(file)
    except (RunFolderError, ReplayError, bptt.FlowFileError) as error:
        return "refused" if file.name in str(error) else f"refused without its name: {error}"
    if not isinstance(found, Run):
        return "equal" if same(found, whole) else "taken as good"
    if not found.damage:
        # Lines that a killed run wrote after its last `run.json` may be lost: it was killed a little earlier, then.
        tail = found.updates, whole.updates[: max(len(found.updates), 30)]
        shorter = (
            file.parent.name == "killed" and file.name == "updates.jsonl" and tail[0] == tail[1]
        )
        return "equal" if found == whole else "shorter" if shorter else "taken as good"
    if not all(sentence.startswith(f"{file.name}: ") for sentence in found.damage):
        return f"another file named: {found.damage}"
    parts = {name: getattr(found, name) for name in ("records", "spectra", "updates", "findings")}
    changed = [name for name, part in parts.items() if part != getattr(whole, name)]
    invented = [name for name in changed if any(e not in getattr(whole, name) for e in parts[name])]
    right = not invented and changed in ([], [_part_of(file)]) and found.run == whole.run
    return "named" if right else f"{changed} changed, {invented} invented"


def _part_of(file: Path) -> str:
    return {"flow.jsonl": "records"}.get(file.name, file.stem)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def read(file: Path) -> Any:
    if file.suffix == ".pt":
        return replay(file)[0]["calls"]
    return bptt.load_flow(file).to_dict() if file.name == "flow.json" else open_run(file.parent)


def damaged(content: dict[Path, bytes]) -> Iterator[tuple[str, Path, bytes]]:
    """The cases: `(kind, file, its bytes)`, none of them as it was."""
    draw, made = random.Random(20), 0
    while made < CASES:
        file, kind = draw.choice(list(content)), draw.choice(KINDS)
        data = bytearray(content[file])
        kind(data, draw)
        if bytes(data) != content[file]:
            made += 1
            yield kind.__name__, file, bytes(data)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (tmp_path.joinpath("ran").touch, ())

    inside = io.BytesIO()
    torch.save({"version": 1, "calls": Trap()}, inside)
    data = inside.getvalue()
    told = {"format": 2, "sha256": hashlib.sha256(data).hexdigest()}
    for content in (
        Trap(),
        {**told, "content": torch.frombuffer(bytearray(data), dtype=torch.uint8)},
    ):
        torch.save(content, tmp_path / "nonfinite.pt")
        with pytest.raises(ReplayError, match="or it would run code"):
            replay(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_kept_update_of_another_format(good: Path, tmp_path: Path) -> None:
    outside = torch.load(good / "nonfinite.pt", weights_only=True)
    inside = torch.load(io.BytesIO(outside["content"].numpy().tobytes()), weights_only=True)
    torch.save(inside, tmp_path / "nonfinite.pt")  # as it was written before there were checksums
    assert same(replay(tmp_path)[0], replay(good)[0])
    torch.save({**outside, "format": 3, "writer": "bptt 9.1"}, tmp_path / "nonfinite.pt")
    with pytest.raises(ReplayError, match=r"format 3, .* install bptt 9\.1"):
        replay(tmp_path)


def test_a_thousand_damaged_files(good: Path) -> None:
    whole = {file: read(file) for file in files(good)}
    runs = [each for each in whole.values() if isinstance(each, Run)]
    assert all(run.damage == [] and len(run.updates) == 40 for run in runs)
    counts: Counter[str] = Counter()
    content = {file: file.read_bytes() for file in whole}
    for kind, file, data in damaged(content):
        file.write_bytes(data)
        came = outcome(file, whole[file])
        file.write_bytes(content[file])
        assert came in ("refused", "named", "equal", "shorter"), f"{file.name}, {kind}: {came}"
        counts[came] += 1
    assert sum(counts.values()) == CASES
    # What is equal was damaged where nothing lies that is read: a zip archive's margins, spaces between values.
    assert counts["equal"] + counts["shorter"] < CASES / 20, counts
    assert counts["named"] > CASES / 5, counts
