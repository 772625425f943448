"""Language models of the State of the Union against xz: the four cells side by side, each with the same time.

    python benchmarks/lm_sotu.py --minutes 30 --cell lstm
    python benchmarks/lm_sotu.py --minutes 8 --cell rnn --cell relu-rnn --cell gru --cell lstm

Addresses are in the order of their years; the last tenth is held out. Its first half chooses the best of a run's
models, its second (`test`) is seen once. xz is given what the models were given: its bits for a text are what
`xz -9e` of the training text and that text together has more than `xz -9e` of the training text alone.

A run lies in runs/lm_sotu/CELL-MINUTES; one that was stopped goes on where it was. Rows of other cells and of other
budgets stay in the result.
"""

import argparse
import json
import lzma
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _report import RESULTS, write

from bptt.lm import (
    Config,
    Result,
    addresses,
    context_curve,
    evaluate,
    load_model,
    resumed,
    sample,
    train,
)

RUNS = Path("runs/lm_sotu")


def xz(training: str, text: str) -> float:
    """Bits per character of a text that xz needs once it has the training text."""
    preset = 9 | lzma.PRESET_EXTREME  # its window, 64 MiB, is larger than the corpus
    alone = len(lzma.compress(training.encode(), preset=preset))
    return 8 * (len(lzma.compress((training + text).encode(), preset=preset)) - alone) / len(text)


def trained(config: Config) -> Result:
    """The run, or the rest of it."""
    folder = RUNS / f"{config.cell}-{config.minutes:g}"
    if (folder / "last.ckpt").exists():
        before = resumed(folder)
        if before == config:
            return train(config, folder, resume=True)
        shutil.rmtree(folder)
    elif folder.exists():
        shutil.rmtree(folder)
    return train(config, folder)


def row(config: Config) -> dict[str, Any]:
    """Train, then read what is held out."""
    result = trained(config)
    model, vocabulary = load_model(result.folder)
    _, validation, test = addresses()
    texts = {"held_out": validation + test, "test": test}
    found = {name: evaluate(model, vocabulary, [[t] for t in each]) for name, each in texts.items()}
    curve = context_curve(model, vocabulary, [[text] for text in test], longest=512, targets=512)
    seen = json.loads((result.folder / "findings.json").read_text(encoding="utf-8"))
    seconds = result.points[-1].seconds
    return {
        "cell": config.cell,
        "minutes": config.minutes,
        "updates": result.updates,
        "reason": result.reason,
        "tokens_per_second": round(result.updates * config.batch * config.length / seconds),
        "training_bits": round(result.points[-1].training, 4),
        **{f"{name}_bits": round(tally.bits, 4) for name, tally in found.items()},
        **{f"{name}_unknown": tally.unknown for name, tally in found.items()},
        "horizon": {site: each["horizon"] for site, each in seen["sites"].items()},
        "findings": [each["code"] for each in seen["findings"]],
        "context": asdict(curve) | {"used": curve.used},
        "sample": "".join(sample(model, vocabulary, prompt="", length=300, temperature=0.7)),
        "load": round(os.getloadavg()[0], 2),  # about 2 is this run's own
        "config": asdict(config),
        "points": [asdict(point) for point in result.points],
    }


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--cell", action="append", choices=["rnn", "relu-rnn", "gru", "lstm"])
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.0)
    parser.add_argument("--bf16", action="store_true")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    path = RESULTS / "lm_sotu.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else {}
    if "xz" not in rows:
        train_text, validation, test = ("".join(texts) for texts in addresses())
        rows["xz"] = {
            "characters": [len(train_text), len(validation), len(test)],
            "held_out_bits": round(xz(train_text, validation + test), 4),
            "test_bits": round(xz(train_text, test), 4),
        }
        write("lm_sotu", rows)
    print(f"xz -9e, given the training text: {rows['xz']}", flush=True)
    for cell in args.cell or ["lstm"]:
        config = Config(
            cell=cell,
            minutes=args.minutes,
            hidden=args.hidden,
            layers=args.layers,
            batch=args.batch,
            length=args.length,
            lr=args.lr,
            bf16=args.bf16,
        )
        own = rows[f"{cell}, {args.minutes:g} min"] = row(config)
        write("lm_sotu", rows)
        print(
            f"{cell}: {own['held_out_bits']} bits per character held out ({own['test_bits']} on the test half), xz "
            f"{rows['xz']['held_out_bits']} ({rows['xz']['test_bits']}); {own['tokens_per_second']:,} tokens/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
