"""Users' own cells: total gradients as the run's hooks saw them, credit by running declared steps again."""

import inspect
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bptt._errors import UnmeasurableError
from bptt.flow._assemble import Part
from bptt.flow.record._call import StateCall
from bptt.flow.record._own_cells import versions
from bptt.flow.walk._backward import EXCESS, norm
from bptt.flow.walk._credit import Credit, anchors, bearing, by_lag
from bptt.flow.walk._push import flat, push_back, rows


def measure_own(calls: list[StateCall], *, full: bool) -> tuple[list[Part], dict[str, str]]:
    """One part for each chain of steps, and notes on what is missing."""
    parts: list[Part] = []
    notes: dict[str, str] = {}
    for chain in _chains(calls):
        first = chain[0]
        walked = None
        try:
            walked = _walk(chain)
        except UnmeasurableError as reason:
            notes[first.name] = (
                f"total gradients are exact, the credit curve is not measured: {reason}"
            )
        parts.append(_part(chain, walked, full))
    return parts, notes


def _chains(calls: list[StateCall]) -> list[list[StateCall]]:
    found = []
    for call in calls:
        if call.previous is not None:
            continue
        chain, each = [], call
        while each is not None:
            chain.append(each)
            each = each.next
        while chain and not chain[-1].grads:
            chain.pop()
        if chain:
            found.append(chain)
    return found


def _seen(call: StateCall, part: int) -> Tensor:
    """The total gradient that arrived at one part of the state after the step."""
    grad, state = call.grads.get("hc"[part]), call.after[part]
    return rows(torch.zeros_like(state) if grad is None else grad.reshape(state.shape))


def _part(chain: list[StateCall], walked: "Walked | None", full: bool) -> Part:
    dh = torch.stack([_seen(call, 0) for call in chain])
    two = len(chain[0].after) > 1
    dc = torch.stack([_seen(call, 1) for call in chain]) if two else None
    grad_h = norm(dh).cpu()
    return Part(
        site=chain[0].name,
        kind="own",
        lengths=torch.full((dh.shape[1],), len(chain)),
        grad_h=grad_h,
        grad_c=None if dc is None else norm(dc).cpu(),
        grad_state=grad_h if walked is None else walked.grad_state.cpu(),
        grad_direct=None if walked is None else walked.grad_direct.cpu(),
        credit=None if walked is None else walked.credit,
        counted=None if walked is None else torch.ones_like(grad_h, dtype=torch.bool),
        dh=dh.cpu() if full else None,
        dc=dc.cpu() if full and dc is not None else None,
        ran_as=chain[0].after[0].dtype,
    )


class Walked(NamedTuple):
    """A declared chain walked back: norms `[T, B]` of costate and direct gradient, and the credit curve."""

    grad_state: Tensor
    grad_direct: Tensor
    credit: Credit


def _walk(chain: list[StateCall]) -> Walked:
    """Run each step again once; pull the costate, and then the anchors, back through all of them."""
    steps = [Step(call) for call in chain]
    carry = tuple(torch.zeros_like(part) for part in chain[-1].after)
    costates, direct = [], []
    for step in reversed(steps):
        seen = _seen(step.call, 0)
        direct.append(_excess(seen, rows(carry[0])))
        costate = (seen.reshape(carry[0].shape), *carry[1:])
        costates.append(flat(costate))
        carry = step.pull(costate)
    entering = torch.stack(direct[::-1])
    sizes = norm(entering)
    bears = bearing(sizes)
    taus = anchors(bears)
    zeros = [torch.zeros_like(part) for part in chain[0].after]
    given = [(each.to(zeros[0].dtype).reshape(zeros[0].shape), *zeros[1:]) for each in entering]
    log_norms = push_back(lambda t, v: steps[t].pull(v), given, taus)
    return Walked(norm(torch.stack(costates[::-1])), sizes, by_lag(log_norms, taus, bears))


def _excess(seen: Tensor, own: Tensor) -> Tensor:
    """What was seen beyond what the next step handed back, unless it is within rounding."""
    extra = seen - own
    real = norm(extra) > EXCESS.get(seen.dtype, 1e-2) * torch.maximum(norm(seen), norm(own))
    return torch.where(real.unsqueeze(-1), extra, 0)


class Step:
    """One step of a declared cell, run again on the inputs and the random numbers it had."""

    def __init__(self, call: StateCall) -> None:
        if call.versions != versions(call.module):
            raise UnmeasurableError("its weights were changed before the measurement")
        self.call = call
        self._before = tuple(part.detach().requires_grad_() for part in call.before)
        self._after = self._run()

    def _run(self) -> tuple[Tensor, ...]:
        call = self.call
        buffers = {name: buffer.clone() for name, buffer in call.module.named_buffers()}
        bound = dict(_arguments(call), **dict(zip(call.declared, self._before, strict=True)))
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            if call.rng is not None:
                torch.set_rng_state(call.rng)
            output = call.module.forward(**bound)
        with torch.no_grad():
            for name, buffer in call.module.named_buffers():
                buffer.copy_(buffers[name])
        returned = output if isinstance(output, tuple | list) else (output,)
        after = tuple(returned[place] for place in call.declared.values())
        off = max(float((a - b).abs().max()) for a, b in zip(after, call.after, strict=True))
        if off > 1e-4:
            raise UnmeasurableError(f"run again, a step gives another state (off by {off:.1e})")
        return after

    def pull(self, costate: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """`(∂s_t/∂s_{t-1})ᵀ v` for one costate shaped as the state."""
        grads = torch.autograd.grad(
            self._after, self._before, costate, retain_graph=True, allow_unused=True
        )
        return tuple(
            torch.zeros_like(part) if grad is None else grad
            for part, grad in zip(self._before, grads, strict=True)
        )


def _arguments(call: StateCall) -> dict[str, Any]:
    signature = inspect.signature(call.module.forward)
    return dict(signature.bind(*call.args, **call.kwargs).arguments)
