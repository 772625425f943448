"""Under `bptt run` every example prints the same losses and ends with the same weights."""

import json
from pathlib import Path

import pytest
import torch

from scripts import EXAMPLES, python

RUNS = {
    "char_lm.py": "--updates 12 --length 24 --batch 4 --hidden 32",
    "adding.py": "--updates 12 --length 20 --batch 4 --hidden 16",
    "sequence_classification.py": "--epochs 2 --batch 240 --hidden 8 --bidirectional --cell lstm",
}
SITES = {
    "char_lm.py": ["rnn.l0"],
    "adding.py": ["rnn.l0"],
    "sequence_classification.py": ["rnn.l0", "rnn.l0_reverse"],
}


@pytest.mark.parametrize("name", RUNS)
def test_same_losses_same_weights(name: str, tmp_path: Path) -> None:
    script, options = EXAMPLES / name, [*RUNS[name].split(), "--save"]
    plain = python(script, *options, tmp_path / "plain.pt")
    # The whole of the run's time as the budget, so that nearly every update is probed.
    under = ["-m", "bptt", "run", "--budget", "1", "--out", tmp_path / "run"]
    probed = python(*under, script, *options, tmp_path / "probed.pt")
    assert probed == plain

    one, two = torch.load(tmp_path / "plain.pt"), torch.load(tmp_path / "probed.pt")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)

    lines = (tmp_path / "run" / "flow.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) >= 6  # it did look, and not at the first update only
    assert sorted(json.loads(lines[-1])["sites"]) == SITES[name]
