"""The phase diagram of reach: what is left of a gradient, by spectral radius and lag, for fresh layers of four cells.

    nice -n 15 python benchmarks/phase.py       # a minute of one core; then the picture
    python benchmarks/phase.py --picture        # docs/pictures/phase.svg again, from the results

The points of `bptt sweep --cell rnn,relu-rnn,gru,lstm --radius … --lag …`: H = 64, B = 16, inputs N(0, 1), every
recurrent matrix as torch draws it and scaled to the radius, gate by gate; gated cells also with chrono for the longest
lag. A random linear loss of the last state; no training.
"""

import argparse
import json
from typing import Any

from _pictures import PICTURES, digest
from _report import RESULTS, write

from bptt.cli._sweep._command import grid
from bptt.cli._sweep._grid import Point, evaluated
from bptt.cli._sweep._table import reach_map, reach_table

CELLS = ("rnn", "relu-rnn", "gru", "lstm")
GATED = ("gru", "lstm")
RADII = ("0.3", "0.6", "0.8", "0.9", "1", "1.1", "1.3", "1.6", "2")
LAGS = ("3", "10", "30", "100", "300", "1000")
PICTURE = PICTURES / "phase.svg"


def points() -> list[Point]:
    """The grid, cell by cell; then gated cells whose gates were told to keep."""
    plain = grid(cells=CELLS, radii=RADII, lags=LAGS, hidden=64)
    return plain + grid(cells=GATED, remedies=["chrono"], radii=RADII, lags=LAGS, hidden=64)


def results(rows: list[dict[str, Any]]) -> list[tuple[Point, dict[str, Any]]]:
    """The file's rows with their points."""
    found = {row["key"]: row["result"] for row in rows}
    return [(point, found[point.key]) for point in points()]


def main() -> None:
    """Measure unless only the picture was asked for."""
    parser = argparse.ArgumentParser(description="reach by spectral radius and lag")
    parser.add_argument("--picture", action="store_true", help="draw what is there")
    if not parser.parse_args().picture:
        write("phase", [{"key": point.key, "result": evaluated(point)} for point in points()])
    rows = json.loads((RESULTS / "phase.json").read_text(encoding="utf-8"))["rows"]
    print(reach_table(results(rows)))
    PICTURE.write_text(reach_map(results(rows), note=f"numbers {digest(rows)}"), encoding="utf-8")


if __name__ == "__main__":
    main()
