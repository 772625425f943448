"""One run through a recurrence that was written by hand: measured on the graph, before and during the backward pass.

Before the pass, gradients are pulled back on copies: from the loss to every state without passing through another one
(the direct gradient `D_t`), and from state to state,

    v_t = D_t + (∂s_{t+1}/∂s_t)ᵀ v_{t+1},

first for the costate and then for the credit curve's anchors. During the pass, hooks on the graph's nodes read the
total gradients as they really are. Where the two do not agree, something of the user's changes gradients on their way.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from bptt.flow._assemble import Part
from bptt.flow.by_hand._axis import samples_axis
from bptt.flow.by_hand._graph import NONE, Graph, Outlet
from bptt.flow.by_hand._precision import narrowest_type
from bptt.flow.by_hand._pull import Program
from bptt.flow.by_hand._states import Chain
from bptt.flow.record._announce import Root
from bptt.flow.record._watch import watch_node
from bptt.flow.walk._backward import norm
from bptt.flow.walk._credit import Credit, anchors, bearing, by_lag
from bptt.flow.walk._push import State, flat, push_back, rows
from bptt.flow.walk._statistics import Statistics


@dataclass(eq=False)
class Walked:
    """A run pulled back: norms `[T, B]` of costate and direct gradient, the credit curve.

    `sample` is the costate itself of the part that no other part of the same step is made from, a tensor a step: for
    that part it is the total gradient.
    """

    grad_state: Tensor
    grad_direct: Tensor
    credit: Credit
    top: int
    sample: list[Tensor]


@dataclass(eq=False)
class Run:
    """One run: its site, the zeros of its states' shapes, and what has been measured so far.

    `axis` counts the samples: as the shapes and the side of the weight have it, until `walk` has asked the steps.
    """

    site: str
    zeros: list[State]
    axis: int
    walked: Walked | None = None
    statistics: Statistics | None = None
    ran_as: torch.dtype = torch.float32
    grads: dict[str, Tensor] = field(default_factory=dict)
    second_order: bool = False
    handles: list[RemovableHandle] = field(default_factory=list)

    def watch(self, graph: Graph, chain: Chain, arrived: Callable[[], None]) -> None:
        """Read the gradients that the coming pass brings to each state."""
        for t, state in enumerate(chain.states):
            for part, (node, nr) in enumerate(state):
                if node < 0:
                    continue
                key = f"{t}.{part}"
                self.handles.append(watch_node(graph.nodes[node], nr, self, key, arrived))

    def unwatch(self) -> None:
        """Take the hooks away."""
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def agrees(self) -> bool:
        """Whether the pass brought the gradients that the recurrence by itself hands back."""
        if self.walked is None:
            return True
        for t, own in enumerate(self.walked.sample):
            seen = self.grads.get(f"{t}.{self.walked.top}", torch.zeros_like(own))
            off, size = float((seen - own).norm()), float(torch.maximum(seen.norm(), own.norm()))
            if off > torch.finfo(own.dtype).eps ** 0.5 * size and off > 1e-30:
                return False
        return True

    def part(self, *, full: bool) -> Part:
        """What was measured, as a part of the site."""
        totals = [self._totals(part) for part in range(len(self.zeros[0]))]
        dc = totals[1] if len(totals) == 2 and totals[1].shape == totals[0].shape else None
        grad_h, walked = norm(totals[0]).cpu(), self.walked
        return Part(
            site=self.site,
            kind="own",
            lengths=torch.full((grad_h.shape[1],), len(grad_h)),
            grad_h=grad_h,
            grad_c=None if dc is None else norm(dc).cpu(),
            grad_state=grad_h if walked is None else walked.grad_state,
            grad_direct=None if walked is None else walked.grad_direct,
            credit=None if walked is None else walked.credit,
            counted=None if walked is None else torch.ones_like(grad_h, dtype=torch.bool),
            dh=totals[0].cpu() if full else None,
            dc=dc.cpu() if full and dc is not None else None,
            states=self.statistics,
            ran_as=self.ran_as,
        )

    def _totals(self, part: int) -> Tensor:
        found = [self.grads.get(f"{t}.{part}", zero[part]) for t, zero in enumerate(self.zeros)]
        return torch.stack([rows(grad, self.axis) for grad in found])


def run_of(graph: Graph, chain: Chain, site: str, second_axis: bool) -> Run:
    """An unmeasured run. `second_axis`: a state with three axes has its samples on the second one, as in torch."""
    first = chain.states[0]
    zeros = [tuple(_zeros(graph, outlet) for outlet in first)] * len(chain.states)
    axis = int(chain.column)
    if all(part.dim() == 3 and (second_axis or len(part) == 1) for part in zeros[0]):
        axis = 1
    same = len({len(rows(part, axis)) for part in zeros[0]}) == 1
    return Run(site, zeros, axis if same else -1, ran_as=narrowest_type(graph, chain))


def _zeros(graph: Graph, outlet: Outlet) -> Tensor:
    meta = graph.nodes[outlet.node]._input_metadata[outlet.nr]
    return torch.zeros(tuple(meta.shape), dtype=meta.dtype, device=meta.device)


def walk(graph: Graph, chain: Chain, roots: list[Root], run: Run) -> Walked:
    """Pull the costate and the credit curve's anchors back through all steps."""
    programs = [
        Program(graph, _real(after), before, chain.level)
        for before, after in zip(chain.states, chain.states[1:], strict=False)
    ]

    def pull(t: int, v: State) -> State:
        caught = programs[t - 1].run(dict(zip(chain.states[t], v, strict=True)))
        return _at(chain.states[t - 1], caught, run.zeros[t - 1])

    run.axis = samples_axis(pull, run.zeros, run.axis)
    direct = _direct(graph, chain, roots, run)
    costates = [direct[-1]]
    for t in reversed(range(1, len(direct))):
        carry = pull(t, costates[0])
        costates.insert(0, tuple(d + c for d, c in zip(direct[t - 1], carry, strict=True)))
    sizes = torch.stack([norm(flat(each, run.axis)) for each in direct])
    bears = bearing(sizes)
    taus = anchors(bears)
    credit = by_lag(push_back(pull, direct, taus, run.axis), taus, bears)
    top = max(range(chain.parts), key=lambda part: chain.states[0][part])
    grad_state = torch.stack([norm(flat(each, run.axis)) for each in costates])
    return Walked(grad_state.cpu(), sizes.cpu(), credit, top, [each[top] for each in costates])


def _direct(graph: Graph, chain: Chain, roots: list[Root], run: Run) -> list[State]:
    """The gradient that reaches each state from the loss without passing through another state."""
    start: dict[Outlet, Tensor] = {}
    for node, nr, grad, *_ in roots:
        outlet = Outlet(graph.index[node], nr)
        start[outlet] = start[outlet] + grad if outlet in start else grad
    stop = [outlet for state in chain.states for outlet in _real(state)]
    entering = Program(graph, start, stop).run(start)
    return [_at(state, entering, zero) for state, zero in zip(chain.states, run.zeros, strict=True)]


def _real(state: list[Outlet]) -> list[Outlet]:
    return [outlet for outlet in state if outlet != NONE]


def _at(state: list[Outlet], grads: dict[Outlet, Tensor], zeros: State) -> State:
    return tuple(grads.get(outlet, zero) for outlet, zero in zip(state, zeros, strict=True))
