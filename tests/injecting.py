"""NaN and infinity put into a training at random updates, steps, samples and gates: is it found, and named rightly?"""

import random
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from bptt.doctor import Monitor
from bptt.rules import Finding

T, B, I, H, UPDATES = 9, 4, 3, 5, 8
VALUES = (float("nan"), float("inf"), float("-inf"))
CODES = {"input": "NF603", "gate": "NF601", "gradient": "NF602"}
GATES = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}


class Case(NamedTuple):
    """What is put where; `unit` counts the rows of the recurrent weights' bias, gate by gate."""

    where: str
    value: float
    cell: type[nn.RNNBase]
    update: int
    step: int
    sample: int
    unit: int
    batch_first: bool = False


def drawn(seed: int) -> Case:
    """A case at random; into a gate only NaN, for a sigmoid of infinity is a number."""
    draw = random.Random(seed)
    where, cell = draw.choice(list(CODES)), draw.choice(list(GATES))
    value = VALUES[0] if where == "gate" else draw.choice(VALUES)
    place = draw.randrange(1, UPDATES + 1), draw.randrange(T), draw.randrange(B)
    return Case(where, value, cell, *place, draw.randrange(GATES[cell] * H), draw.random() < 0.5)


def findings(case: Case) -> list[Finding]:
    """What the monitor says of a training that it is put into."""
    torch.manual_seed(0)
    rnn, out = cast(Any, case.cell)(I, H, batch_first=case.batch_first), nn.Linear(H, 1)
    optimizer = torch.optim.SGD([*rnn.parameters(), *out.parameters()], lr=0.01)

    def by_step(tensor: Tensor) -> Tensor:
        return tensor.transpose(0, 1) if case.batch_first else tensor

    shape = (B, T) if case.batch_first else (T, B)

    def replaced(grad: Tensor) -> Tensor:
        grad = grad.clone()
        by_step(grad)[case.step, case.sample] = case.value
        return grad

    with Monitor(rnn, optimizer) as monitor:
        for update in range(1, UPDATES + 1):
            x, now = torch.randn(*shape, I), update == case.update
            if now and case.where == "input":
                by_step(x)[case.step, case.sample, case.unit % I] = case.value
            if now and case.where == "gate":
                with torch.no_grad():
                    rnn.get_parameter("bias_hh_l0")[case.unit] = case.value
            y = rnn(x)[0]
            if now and case.where == "gradient":
                y.register_hook(replaced)
            optimizer.zero_grad()
            out(y).square().mean().backward()
            optimizer.step()
    assert monitor.fault is None, monitor.fault
    return [each for each in monitor.findings if each.code in CODES.values()]


def wrong(case: Case) -> str | None:
    """What is wrong with what was said, None if one finding names the kind, the update, the step and the sample."""
    found = findings(case)
    codes = [each.code for each in found]
    if codes != [CODES[case.where]]:
        return f"{case}: found {codes}"
    said = found[0].message
    # A gate that is broken breaks every sample from the first step on.
    step, sample = (0, 0) if case.where == "gate" else (case.step, case.sample)
    expected = [f"update {case.update}, step {step}, sample {sample}"]
    if case.where == "gate":
        expected += [f"unit {case.unit % H}", "weights"]
    missing = [each for each in expected if each not in said]
    return f"{case}: {said}" if missing else None
