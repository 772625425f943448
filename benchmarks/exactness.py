"""How far the probe is from its brute-force twin: the largest error over random set-ups.

    python benchmarks/exactness.py [SET-UPS]

The set-ups are those of tests/cases.py: cells, layers, directions, packed and unbatched input, dropout, projections,
given states, losses). Error: of `dL/dh_t` and `dL/dc_t` at a step, relative to its own norm, the largest of all steps
and samples; of the credit curve, relative at each lag.
"""

import sys
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from _report import write
from hypothesis import HealthCheck, Phase, given, settings

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import bptt
from bptt.flow import twin
from bptt.flow.walk._sequence import flip
from cases import Case, Run, cases

WORST: defaultdict[str, float] = defaultdict(float)
COUNT: defaultdict[str, int] = defaultdict(int)


def relative(ours: torch.Tensor, true: torch.Tensor) -> float:
    """Largest error of a step's vector, relative to its own norm."""
    size = true.norm(dim=-1)
    error = (ours.double() - true).norm(dim=-1)
    return float((error / torch.where(size > 0, size, 1)).max())


def compare(case: Case) -> None:
    """One set-up, run as a user would and by the twin."""
    run = Run(case)
    with bptt.probe(run.module, keep="full") as flow:
        run.run().backward()
    loss, sites = run.twin()
    precision = str(case.dtype).removeprefix("torch.")
    COUNT[precision] += 1
    for site in flow:
        true = twin.gradients(loss, sites[site.name])
        if site.reverse:
            true = {name: flip(grad, run.lengths) for name, grad in true.items()}
        for name, ours in (("dh", site.dh), ("dc", site.dc)):
            if ours is not None:
                key = f"{name} {precision}"
                WORST[key] = max(WORST[key], relative(ours, true[name]))
        curve = twin.credit(loss, sites[site.name], run.lengths)
        assert site.credit is not None
        off = ((site.credit - curve).abs() / curve).nan_to_num(0.0)
        WORST[f"credit {precision}"] = max(WORST[f"credit {precision}"], float(off.max()))


def main() -> None:
    """Draw the set-ups, print and write the worst errors."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")
    drawn: Any = given(case=cases())(compare)
    settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )(drawn)()
    for name, error in sorted(WORST.items()):
        print(f"{name:16} {error:.1e}")
    print("written to", write("exactness", {"set_ups": dict(COUNT), "largest_error": dict(WORST)}))


if __name__ == "__main__":
    main()
