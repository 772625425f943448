"""Pascanu's Ω: a penalty on steps that do not hand the gradient on at the length it came with."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.cells import Cell, State, Weights
from bptt.flow.walk._backward import walk_back
from bptt.flow.walk._linear import Linearised
from bptt.flow.walk._sequence import Sequence, Track, layers, output_grad, tracks
from bptt.flow.walk._totals import Totals, joint_norm
from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, RemedyError, Target, is_number
from bptt.remedies.regularisers._updates import (
    Trace,
    act_before_steps,
    add_to_grad,
    no_lbfgs,
    positive,
    sites_named,
)

CURES: tuple[str, ...] = ()
DROPPED = 1e-20
"""A costate whose squared norm is smaller has no direction worth keeping; its term is left out."""


def fits(target: Target) -> str:
    """Any cell whose recurrent matrix is a parameter of its own."""
    return no_lbfgs(target) or target.refusal(_why_not)


def _why_not(layer: Layer) -> str:
    try:
        layer.weight("weight_hh")
    except RemedyError as reason:
        return str(reason)
    return ""


def omega_terms(cell: Cell, local: Any, costate: State, w: Weights) -> Float[Tensor, "T B"]:
    """`(‖J_tᵀ v_t‖ / ‖v_t‖ - 1)²` of every step, differentiable in `w.w_hh`; 0 where `‖v_t‖²` is below 1e-20.

    Local factors and costates are constants: the derivative is the immediate one, through `W_hh` alone.
    """
    size = joint_norm(costate)
    # Not `joint_norm`: where no error arrives (padding, steps behind the loss), the slope of a root of two squares is
    # 0/0, and that of one norm is 0.
    pulled = torch.linalg.vector_norm(torch.cat(cell.pull(local, costate, w), -1), dim=-1)
    ratio = pulled / torch.where(size > 0, size, 1)
    return torch.where(size * size < DROPPED, 0, (ratio - 1).square())


class Omega:
    """Ω of the backward pass that has just run, and its gradient.

        Ω = 1/B Σ_b Σ_{t≥1} (‖J_tᵀ v_t‖ / ‖v_t‖ - 1)²,    J_t = ∂s_t/∂s_{t-1},  v_t = dL/ds_t

    with the costate `v_t` of design: `dL/dh_t`, jointly with the cell's own part for an LSTM. As published, the
    gradient goes through `W_hh` in `J_t` only; activations, gates and costates count as constants, so that one
    backward walk is all it needs, on any kernel. Terms with `‖v_t‖²` below 1e-20 are left out.

    In a loop of one's own, between `backward()` and clipping:

        regulariser = Omega(model, weight=2.0)
        loss.backward()
        regulariser.add_()

    Args:
        model: holds the layers; watched from now on, until `remove()`.
        weight: the term's factor α.
        decay: at update n the factor is `weight / (1 + decay n)`; on natural data the term has to fade.
        site: one module or site, `""` for all.

    Attributes:
        value: Ω at the last update, without the factor; all sites together.
        updates: how often it has acted.

    Example:
        >>> from bptt.remedies.regularisers import Omega
        >>> rnn = nn.RNN(2, 8)
        >>> regulariser = Omega(rnn, weight=2.0)
        >>> rnn(torch.ones(20, 3, 2))[0][-1].sum().backward()
        >>> before = rnn.weight_hh_l0.grad.clone()
        >>> regulariser.add_() > 0, torch.equal(before, rnn.weight_hh_l0.grad)
        (True, False)
        >>> regulariser.remove()

    Source: Pascanu, Mikolov & Bengio (2013), arXiv 1211.5063, section 3.3.
    """

    name = "omega"

    def __init__(
        self,
        model: nn.Module,
        *,
        weight: int | float = 2.0,
        decay: int | float = 0.0,
        site: str = "",
    ) -> None:
        positive(weight=weight)
        if not (is_number(decay) and decay >= 0):
            raise RemedyError(f"decay is {decay!r}, expected 0 or a positive number")
        found = Target(model, site=site).fitting(_why_not)
        self.weight, self.decay, self.updates, self.value = weight, decay, 0, 0.0
        self._weights = {layer.site: layer.weight("weight_hh") for layer in found}
        self._trace = Trace(model)

    @property
    def parameters(self) -> list[Tensor]:
        """The recurrent matrices that the term acts on."""
        return list(self._weights.values())

    @torch.no_grad()
    def add_(self) -> float:
        """Add the gradient of `weight Ω` to `.grad` of the recurrent matrices; Ω.

        Where several calls were made since the last update (micro-batches), their samples count alike. Does nothing
        where no gradient came back to a layer.

        Raises:
            UnmeasurableError: a module's output does not follow from its weights.
        """
        sums: dict[str, tuple[float, int, Tensor]] = {}
        for sequence in self._trace.take():
            for track, value, grad in _walk(sequence, set(self._weights)):
                old = sums.get(track.site, (0.0, 0, torch.zeros_like(grad)))
                batch = track.y.shape[1]
                sums[track.site] = (old[0] + value, old[1] + batch, old[2] + grad)
        if not sums:
            return 0.0
        factor = self.weight / (1 + self.decay * self.updates)
        self.updates += 1
        for site, (_, batch, grad) in sums.items():
            add_to_grad(self._weights[site], grad / batch, factor)
        self.value = sum(value / batch for value, batch, _ in sums.values())
        return self.value

    def state_dict(self) -> dict[str, Any]:
        """The count that the decay goes by."""
        return {"updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.updates = int(state_dict["updates"])

    def remove(self) -> None:
        """Watch the model no more."""
        self._trace.remove()


def _walk(sequence: Sequence, wanted: set[str]) -> list[tuple[Track, float, Tensor]]:
    """Each wanted track of a chain of calls with its Ω, summed over samples, and that sum's gradient."""
    stack, direct, found = layers(sequence), output_grad(sequence), []
    for layer in reversed(range(len(stack))):
        below = torch.zeros_like(stack[layer].x) if layer else None
        for track in tracks(sequence, layer, stack[layer], direct):
            lin = Linearised(track, sequence.first.autocast or sequence.first.y.dtype)
            totals = walk_back(lin, want_dx=layer > 0, full=True)
            if track.site in wanted:
                found.append((track, *_summed(lin, totals)))
            if below is not None and totals.dx is not None:
                below += track.in_input_time(totals.dx)
        if below is not None:
            mask = stack[layer - 1].mask
            direct = below if mask is None else below * mask
    return found


def _summed(lin: Linearised, totals: Totals) -> tuple[float, Tensor]:
    """Ω summed over the samples, and its immediate gradient `[G·H, P]`."""
    w_hh = lin.track.w.w_hh.detach().requires_grad_()
    w, value, grad = lin.track.w._replace(w_hh=w_hh), 0.0, torch.zeros_like(w_hh)
    for t0, t1 in lin.chunks():
        local = lin.local(t0, t1)
        with torch.enable_grad():
            terms = omega_terms(lin.cell, local, _costates(lin, local, totals, t0, t1), w)
            # The first step's Jacobian leads out of the sequence.
            term = terms[1 if t0 == 0 else 0 :].sum()
        value += float(term)
        grad += torch.autograd.grad(term, w_hh)[0]
    return value, grad


def _costates(lin: Linearised, local: Any, totals: Totals, t0: int, t1: int) -> State:
    """`dL/dh_t`, and for an LSTM what of `dL/dc_t` does not pass through `h_t`."""
    assert totals.dh is not None
    dh = totals.dh[t0:t1]
    if totals.dc is None:
        return (dh,)
    dc = totals.dc[t0:t1]
    through_h = lin.cell.total_c(local, (dh, torch.zeros_like(dc)), lin.track.w)
    assert through_h is not None
    return dh, dc - through_h


def omega(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    weight: int | float = 2.0,
    decay: int | float = 0.0,
) -> Change:
    """Add Pascanu's Ω to the loss: each update's gradient of `W_hh` gets that of `weight · Ω`.

        Ω = Σ_t (‖J_tᵀ v_t‖ / ‖v_t‖ - 1)²,    gradient through `W_hh` only

    It pulls the gain of every backward step towards 1, along the direction that the error takes. What acts is `Omega`,
    before each `step()`: after whatever clipping the script does, so that the term itself is not clipped.

    What is lost: freedom of the recurrent matrix, and the time of one more backward walk each update.

    Args:
        model: holds the layers.
        optimizer: in whose steps it acts; None for any that holds the recurrent matrices.
        site: one module or site, `""` for all.
        weight: the term's factor.
        decay: at update n the factor is `weight / (1 + decay n)`; the count travels in the optimizer's checkpoints.

    Raises:
        RemedyError: no recurrent layer, an optimizer that holds none of its matrices, or LBFGS.

    Example:
        >>> from bptt.remedies import omega
        >>> rnn = nn.RNN(2, 8)
        >>> optimizer = torch.optim.SGD(rnn.parameters(), lr=0.01)
        >>> change = omega(rnn, optimizer=optimizer, weight=1.0)
        >>> rnn(torch.ones(20, 3, 2))[0][-1].sum().backward()
        >>> optimizer.step()
        >>> change.undo()

    Source: Pascanu, Mikolov & Bengio (2013), arXiv 1211.5063, section 3.3.
    """
    with Change("omega", {"weight": weight, "decay": decay}) as change:
        regulariser = Omega(model, weight=weight, decay=decay, site=site)
        act_before_steps(change, regulariser, optimizer)
        change.said.append(
            f"{sites_named(regulariser._weights)}: each update adds the gradient of {weight:g} Ω to weight_hh"
        )
        change.lines = lines(omega, change.args, site, first="model, optimizer=optimizer")
    return change
