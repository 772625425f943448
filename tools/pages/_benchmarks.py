"""The tables of `benchmarks/results`, as they are now."""

import json
import sys
from typing import Any

from _shared import ROOT, number, table

sys.path.insert(0, str(ROOT / "tools"))
import speed

RESULTS = ROOT / "benchmarks" / "results"


def page() -> str:
    parts = [
        "# Benchmarks",
        "What has been measured, and by which command. Each script of `benchmarks/` writes one file of results, with "
        "the processor, the versions and the date; this page is made from those files. `bptt bench` measures the "
        "layers on your machine.",
    ]
    for title, name, maker in SECTIONS:
        parts.append(f"## {title}\n\n{maker(name)}\n\n{origin(name)}")
    return "\n\n".join([*parts, everything()]) + "\n"


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def origin(name: str) -> str:
    """Where a table's numbers come from."""
    file = read(name)
    return (
        f"`{file['command']}`, {file['date']}: {file['processor']}, {file['threads']} threads, "
        f"torch {file['versions']['torch']}."
    )


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def layers(_: str) -> str:
    return (
        "How many times faster than `torch.nn`: the mean over a grid of sizes, and in brackets the worst. The grids "
        "stand in [Fast layers](fast.md).\n\n" + speed.summary()
    )


def exactness(name: str) -> str:
    found = read(name)["rows"]
    rows = [[what, number(error)] for what, error in sorted(found["largest_error"].items())]
    counts = ", ".join(f"{count} in {kind}" for kind, count in found["set_ups"].items())
    return (
        f"Gradients and credit against autograd on an unrolled loop, over random set-ups ({counts}). The largest "
        "error, relative:\n\n" + table(["quantity", "largest error"], rows, right=True)
    )


def probe(name: str) -> str:
    rows = [
        [
            row["cell"],
            row["loss"],
            f"{row['plain_ms']:.1f} ms",
            f"{row['other_ms']:.1f} ms",
            f"{row['ratio']:.2f}×",
        ]
        for row in read(name)["rows"]
        if "loss" in row
    ]
    head = ["cell", "loss at", "an update", "a probed update", "ratio"]
    return (
        "What one probed update costs. A monitor probes as seldom as its budget asks.\n\n"
        + table(head, rows)
    )


def run(name: str) -> str:
    found = read(name)["rows"]
    return (
        f"The demo under `bptt run` and without, in turn: {percent(found['beyond_start_up'])} more time beyond the "
        f"start, which takes {found['start_up_s']:.2f} s more."
    )


def sentinels(name: str) -> str:
    found = read(name)["rows"]
    rows = [
        [size, row["updates"], row["probes"], percent(row["cpu"]["whole"])]
        for size, row in found["sizes"].items()
    ]
    return (
        f"What watching every update costs beside the probes, by the length of an update, at a budget of "
        f"{percent(found['budget'])}; processor time.\n\n"
        + table(["an update takes", "updates", "probes", "all together"], rows, right=True)
    )


def suite(name: str) -> str:
    scripts = read(name)["rows"]["scripts"]
    faulty = [row for row in scripts if row["faulty"]]
    healthy = [row for row in scripts if not row["faulty"]]
    found = sum(any(code == row["about"] for code, _ in row["findings"]) for row in faulty)
    quiet = sum(all(severity == "advice" for _, severity in row["findings"]) for row in healthy)
    return (
        f"{found} of {len(faulty)} faulty scripts were found under the fault's own code, and {quiet} of {len(healthy)} "
        "healthy ones got neither an error nor a warning. [Every script](suite.md)."
    )


OF = (("any", "faulty"), ("kind", "faulty"), ("false", "healthy"))


def others(name: str) -> str:
    rows = [
        [
            tool,
            f"{row['any']} of {row['faulty']}",
            f"{row['kind']} of {row['faulty']}",
            f"{row['false']} of {row['healthy']}",
        ]
        for tool, row in read(name)["rows"]["totals"].items()
    ]
    head = ["tool", "faults it says anything of", "of the right kind", "alarms on healthy scripts"]
    return "The rules of other tools on the same scripts.\n\n" + table(head, rows)


def repair(name: str) -> str:
    verdicts = read(name)["rows"]["verdicts"]
    families: dict[str, list[bool]] = {}
    for row in verdicts:
        families.setdefault(row["script"].split("/")[0].upper(), []).append(row["repaired"])
    rows = [[code, f"{sum(done)} of {len(done)}"] for code, done in families.items()]
    total = sum(row["repaired"] for row in verdicts)
    return (
        f"`bptt run --fix` on faulty scripts: {total} of {len(verdicts)} train to the loss of their twins without the "
        "fault.\n\n" + table(["fault", "repaired"], rows, right=True)
    )


def language_models(name: str) -> str:
    rows = [
        [what, f"{row['held_out_bits']:.3f}", f"{row['test_bits']:.3f}"]
        for what, row in read(name)["rows"].items()
        if "held_out_bits" in row
    ]
    return (
        "`bptt train` on the State of the Union addresses, on two cores; bits per character, and `xz` on the same "
        "text.\n\n" + table(["model", "held out", "test"], rows, right=True)
    )


def newcomer(name: str) -> str:
    row = read(name)["rows"]
    kind = "with" if row["native"] else "without"
    return (
        f"A fresh virtual environment, two commands: `pip install` of a wheel {kind} the native part, "
        f"{row['install_s']:.0f} s; `bptt run train.py`, from its start to `report.html`, {row['run_s']:.0f} s. The "
        f"machine's load was {row['load']:.1f}, and pip took its packages from nearby."
    )


SECTIONS = (
    ("Layers", "layers_padded", layers),
    ("Exactness", "exactness", exactness),
    ("A probe", "probe_cost", probe),
    ("A run", "run_cost", run),
    ("Watching every update", "sentinel_cost", sentinels),
    ("Faults found", "suite", suite),
    ("Beside other tools", "others", others),
    ("Faults repaired", "repair", repair),
    ("Language models", "lm_sotu", language_models),
    ("A newcomer's path", "newcomer", newcomer),
)


def everything() -> str:
    """Every file of results, tables above or not."""
    rows = []
    for path in sorted(RESULTS.glob("*.json")):
        file = read(path.stem)
        rows.append([f"`{path.name}`", f"`{file['command']}`", file["date"]])
    return "## Every file\n\n" + table(["benchmarks/results/", "made by", "on"], rows)
