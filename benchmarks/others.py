"""What the parameter-gradient rules of other tools say of the suite's scripts.

    python benchmarks/others.py

Recomputed from their published thresholds, on every optimizer step, which is more often than any of them looks:

- SageMaker Debugger: VanishingGradient (mean |g| of a parameter < 1e-7), ExplodingTensor (a gradient is not
  finite), WeightUpdateRatio (largest update over weight > 10 or < 1e-8), SaturatedActivation (inputs of tanh
  modules beyond ±9.4999, of sigmoid modules beyond -23 and 17), DeadRelu (half of a ReLU module's units are zero).
- AUTOTRAINER: vanishing (‖g_first‖ / ‖g_last‖ < 1e-3 and ‖g_first‖ < 1e-4), exploding (the ratio above 70, or a
  value that is not finite), dying ReLU (at least 0.7 of a layer's gradients are zero).
- DeepDiagnosis: vanishing (mean |g| < 1e-7), dead (at least 0.7 of a ReLU module's outputs are zero), saturated
  (|x| >= 5 in over half of a tanh or sigmoid module's inputs), a weight's variance below 1e-5 or above 10, values
  that are not finite.

A fused `nn.LSTM` holds no activation modules, so rules for activations see nothing of it; so it is in the originals.
An alarm needs half of the steps (a value that is not finite: one), which is kinder than the originals are.
"""

import math
import runpy
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from _report import write
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

ROOT = Path(__file__).resolve().parent.parent
KINDS = {
    "vanishing": ("VG101", "VG102", "VG103", "SA301", "OP502", "TR401"),
    "exploding": ("EG201", "EG202", "OP501", "NF601", "NF602", "NF603"),
    "not finite": ("EG201", "NF601", "NF602", "NF603"),
    "dead relu": ("SA303",),
    "saturated": ("SA301", "SA302"),
    "update ratio": ("OP501", "OP502"),
    "weight variance": ("SA301",),
}
TOOLS = ("SageMaker Debugger", "AUTOTRAINER", "DeepDiagnosis")
Alarm = tuple[str, str]


class Watch:
    """Hooks that count, for each tool's rules, the optimizer steps on which they would fire."""

    def __init__(self) -> None:
        self.steps = 0
        self.alarms: Counter[Alarm] = Counter()
        self._now: set[Alarm] = set()
        self._before: dict[Tensor, Tensor] = {}

    def start(self) -> None:
        """Hooks for the rest of the process."""
        register_optimizer_step_pre_hook(self._before_step)
        register_optimizer_step_post_hook(self._after_step)
        register_module_forward_hook(self._activation)

    def said(self) -> dict[str, list[str]]:
        """Tool → the rules that fired."""
        found: dict[str, list[str]] = {tool: [] for tool in TOOLS}
        for (tool, rule), count in sorted(self.alarms.items()):
            if rule == "not finite" or count >= 0.5 * self.steps:
                found[tool].append(rule)
        return found

    def _before_step(self, optimizer: Any, *_: Any) -> None:
        owned = [p for group in optimizer.param_groups for p in group["params"]]
        with torch.no_grad():
            graded = [(p, p.grad) for p in owned if p.grad is not None and p.grad.numel()]
            self._gradients([grad for _, grad in graded])
            self._weights([p for p in owned if p.dim() > 1])
            self._before = {p: p.detach().clone() for p, _ in graded}

    def _gradients(self, grads: list[Tensor]) -> None:
        if not grads:
            return
        means = [float(g.abs().mean()) for g in grads]
        norms = [float(g.norm()) for g in grads]
        if not all(map(math.isfinite, norms)):
            self._now |= {(tool, "not finite") for tool in TOOLS}
            return
        if min(means) < 1e-7:
            self._now |= {("SageMaker Debugger", "vanishing"), ("DeepDiagnosis", "vanishing")}
        first, last = norms[0], norms[-1]
        if last > 0 and first / last < 1e-3 and first < 1e-4:
            self._now.add(("AUTOTRAINER", "vanishing"))
        if last > 0 and first / last > 70:
            self._now.add(("AUTOTRAINER", "exploding"))
        if max(float((g == 0).double().mean()) for g in grads) >= 0.7:
            self._now.add(("AUTOTRAINER", "dead relu"))

    def _weights(self, weights: list[Tensor]) -> None:
        spreads = [float(w.var()) for w in weights if w.numel() > 1]
        if any(not 1e-5 <= spread <= 10 for spread in spreads if math.isfinite(spread)):
            self._now.add(("DeepDiagnosis", "weight variance"))

    def _after_step(self, *_: Any) -> None:
        with torch.no_grad():
            for p, before in self._before.items():
                moved = float((p - before).abs().max() / before.abs().max().clamp(min=1e-12))
                if moved > 10 or moved < 1e-8:
                    self._now.add(("SageMaker Debugger", "update ratio"))
        self.steps += 1
        self.alarms.update(self._now)
        self._now, self._before = set(), {}

    def _activation(self, module: nn.Module, args: Any, output: Any) -> None:
        if not torch.is_grad_enabled() or not args or not isinstance(args[0], Tensor):
            return
        x = args[0].detach()
        if isinstance(module, nn.Tanh | nn.Sigmoid):
            low, high = (-9.4999, 9.4999) if isinstance(module, nn.Tanh) else (-23.0, 16.99999)
            if bool((x < low).any() | (x > high).any()):
                self._now.add(("SageMaker Debugger", "saturated"))
            if float((x.abs() >= 5).double().mean()) > 0.5:
                self._now.add(("DeepDiagnosis", "saturated"))
        if isinstance(module, nn.ReLU):
            idle = (output.detach().flatten(0, -2) == 0).all(0).double().mean()
            if float(idle) >= 0.5:
                self._now.add(("SageMaker Debugger", "dead relu"))
            if float((output.detach() == 0).double().mean()) >= 0.7:
                self._now.add(("DeepDiagnosis", "dead relu"))


def listen(case: Any) -> Any:
    """The script with the hooks on; which rules of which tool fired."""
    from suite.runner import quietly

    watch = Watch()
    watch.start()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        code = quietly(lambda: runpy.run_path(str(case.path), run_name="__main__"), log)
        trouble = log.read_text(encoding="utf-8", errors="replace")[-300:] if code else ""
    return {"said": watch.said(), "steps": watch.steps, "trouble": trouble}


def totals(results: dict[str, Any], cases: list[Any]) -> dict[str, dict[str, int]]:
    """By tool: faults with any alarm, with one of the right kind, healthy scripts with an alarm."""
    faulty, healthy = [c for c in cases if c.faulty], [c for c in cases if not c.faulty]
    table: dict[str, dict[str, int]] = {}
    for tool in TOOLS:
        said = {str(case): results[str(case)]["said"][tool] for case in cases}
        table[tool] = {
            "faulty": len(faulty),
            "healthy": len(healthy),
            "any": sum(bool(said[str(c)]) for c in faulty),
            "kind": sum(any(c.about in KINDS[rule] for rule in said[str(c)]) for c in faulty),
            "false": sum(bool(said[str(c)]) for c in healthy),
        }
    return table


def main() -> None:
    """Run every script once; print and write the totals."""
    sys.path.insert(0, str(ROOT / "tests"))
    from suite.runner import cases, forked

    chosen = cases()
    results = {str(case): result for case, result in forked(chosen, listen)}
    for script, result in results.items():
        if result is None or result["trouble"]:
            raise SystemExit(f"{script} failed: {result and result['trouble']}")
    table = totals(results, chosen)
    for tool, row in table.items():
        print(
            f"{tool:20s} says something of {row['any']} of {row['faulty']} faults, the right kind of "
            f"{row['kind']}; alarms on {row['false']} of {row['healthy']} healthy scripts"
        )
    scripts = {str(case): results[str(case)] for case in chosen}
    print("written to", write("others", {"totals": table, "scripts": scripts}))


if __name__ == "__main__":
    main()
