"""The backward recurrence on the compiled kernels: what `_backward` and `_credit` do in Python, several times faster.

Only for plain tracks: one call, no projection, gradients from the later side at the samples' ends only. The kernels
run the track forward again; where their states leave the run's (a chaotic network, a changed forward pass) the Python
recurrence takes over, which starts from the run's own states at every step.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from bptt import kernels
from bptt.flow.walk._sequence import End, Track
from bptt.flow.walk._totals import Totals, joint_norm, norm

CELLS = tuple(kernels.GATES)
MEMORY = 256 * 2**20
"""Bytes of gates and gradients that may be held at once; longer tracks are walked in Python, chunk by chunk."""
AGREE = {torch.float64: 1e-12, torch.float32: 5e-6}
"""How far the kernels' states may be from the run's, relative to 1 + |state|."""
SEGMENT = 32
"""Steps between two rescalings of the anchors' gradients."""


class Kept(NamedTuple):
    """What the forward kernel leaves for the backward one, one row a step and sample."""

    y: Tensor
    gates: Tensor
    c_all: Tensor
    hn: Tensor


class Back(NamedTuple):
    """What the backward kernel gives: `dL/dx`, the gradient before the first step; `dL/dh_t`, `e_t` of every step."""

    dx: Tensor
    dh0: Tensor
    dc0: Tensor
    dh: Tensor
    e: Tensor


class Native:
    """A track that the kernels have run forward."""

    def __init__(self, track: Track, kept: Kept) -> None:
        self.track, self._kept, self._lstm = track, kept, track.kind == "lstm"
        self._start, self._w = _dense(track.start), _dense(track.w[:2])

    @staticmethod
    def of(track: Track) -> "Native | None":
        """The track on the kernels, or None where they cannot take it or their states leave the run's."""
        if not _fits(track):
            return None
        if track.kind.startswith("rnn"):  # the slopes follow from the run's own states
            none = track.y.new_empty(0)
            return Native(track, Kept(track.y.contiguous().flatten(0, 1), none, none, none))
        x, (steps, batch, _) = track.x.contiguous(), track.y.shape
        y, _, _, gates, c_all, hn = torch.ops.bptt.layer(
            CELLS.index(track.kind), x.flatten(0, 1), *_dense(track.w[:4]),
            *_dense((*track.start, None)[:2]), steps, batch, None, False, False, True, False,
        )  # fmt: skip
        agree = _agree(y.view_as(track.y), track)
        return Native(track, Kept(y, gates, c_all, hn)) if agree else None

    def walk_back(self, *, want_dx: bool, full: bool) -> Totals:
        """The total gradient and the costate at every step; `track.direct` gains what entered through the ends."""
        track, last_c = self.track, None
        for t, end in track.ends.items():
            track.direct[t] += _at(end, end.h)
            if end.c is not None and bool(end.c.any()):
                last_c = end.c
        back = self._back(0, track.steps, track.direct, None, last_c, want_dx)
        v = (back.dh, back.e) if self._lstm else (back.dh,)
        dc = self._total_c(back) if self._lstm else None
        direct, direct_c = norm(track.direct), {}
        if last_c is not None:
            direct_c[track.steps - 1] = last_c
            direct[-1] = torch.hypot(direct[-1], norm(last_c))
        return Totals(
            grad_h=norm(back.dh),
            grad_c=None if dc is None else norm(dc),
            grad_state=joint_norm(v),
            dx=back.dx.view_as(track.x) if want_dx else None,
            dh=back.dh if full else None,
            dc=dc if full else None,
            direct=direct,
            direct_c=direct_c,
        )

    def push_back(self, totals: Totals, taus: Tensor) -> Tensor | None:
        """`log ‖v_t‖` `[T, 1, B]` of one anchor a sample; None where Python has to do it, step by step."""
        if len(taus) > 1 or totals.direct_c:
            return None
        track, tau = self.track, taus[0]
        size = norm(track.direct).clamp(min=torch.finfo(torch.float64).tiny)
        out = torch.full((track.steps, *taus.shape), float("nan"), dtype=torch.float64)
        scale = torch.zeros(len(tau), dtype=torch.float64)
        dh: Tensor | None = None
        e: Tensor | None = None
        for t0 in reversed(range(0, int(tau.max()) + 1, SEGMENT)):
            t1 = min(t0 + SEGMENT, track.steps)
            entering = torch.zeros_like(track.direct[t0:t1])
            samples = ((tau >= t0) & (tau < t1)).nonzero().flatten()
            at = tau[samples]
            unit = track.direct[at, samples].double() / size[at, samples].unsqueeze(-1)
            entering[at - t0, samples] = unit.to(entering.dtype)
            back = self._back(t0, t1, entering, dh, e, False)
            sizes = joint_norm((back.dh, back.e) if self._lstm else (back.dh,))
            steps = torch.arange(t0, t1).unsqueeze(1)
            if not bool(((sizes > 0) & sizes.isfinite() | (steps > tau)).all()):
                return None
            out[t0:t1, 0] = sizes.log() + scale
            ends = (back.dh0, back.dc0) if self._lstm else (back.dh0,)
            factor = joint_norm(ends)
            factor = torch.where((factor > 0) & factor.isfinite(), factor, 1.0)
            dh, *rest = [(part / factor.unsqueeze(-1)).to(part.dtype) for part in ends]
            e, scale = rest[0] if rest else None, scale + factor.log()
        return out

    def _back(
        self, t0: int, t1: int, dy: Tensor, dh: Tensor | None, dc: Tensor | None, want_dx: bool
    ) -> Back:
        """The backward kernel over steps `t0 … t1-1`, from the gradients at each step and after the last."""
        track, batch = self.track, self.track.y.shape[1]
        rows = slice(t0 * batch, t1 * batch)
        kept = [part[rows] if part.numel() else part for part in self._kept]
        before = list(self._start) if t0 == 0 else [self._kept.y[(t0 - 1) * batch : t0 * batch]]
        if self._lstm and t0 > 0:
            before.append(self._kept.c_all[(t0 - 1) * batch : t0 * batch])
        dx, _, _, _, _, dh0, dc0, _, dh_all, e_all, _ = torch.ops.bptt.layer_backward(
            CELLS.index(track.kind), track.x[t0:t1].contiguous().flatten(0, 1), *self._w,
            *(*before, None)[:2], *kept, dy.contiguous().flatten(0, 1), *_dense((dh, dc)),
            t1 - t0, batch, None, False, False, 0, 0.0, False, True, False, int(want_dx),
        )  # fmt: skip
        shape = (t1 - t0, batch, -1)
        e = e_all.view(shape) if self._lstm else e_all
        return Back(dx, dh0, dc0, dh_all.view(shape), e)

    def _total_c(self, back: Back) -> Tensor:
        """`dL/dc = e + o (1 - tanh² c) ∘ dL/dh`."""
        o = self._kept.gates.chunk(4, -1)[3].reshape(back.dh.shape)
        tanh_c = torch.tanh(self._kept.c_all).view_as(back.dh)
        return back.e + o * (1 - tanh_c * tanh_c) * back.dh


def _dense(tensors: Iterable[Tensor | None]) -> list[Tensor | None]:
    """As the kernels read them; a transposed weight is not, nor the gradient of a sum."""
    return [None if each is None else each.contiguous() for each in tensors]


def _at(end: End, grad: Tensor) -> Tensor:
    """The gradient of the samples that end here."""
    return grad if end.samples is None else torch.where(end.samples.unsqueeze(-1), grad, 0)


def _fits(track: Track) -> bool:
    """Whether the kernels can take the track: plain, of moderate size, on the CPU."""
    steps, batch, hidden = track.y.shape
    held = steps * batch * hidden * (kernels.GATES[track.kind] + 5) * track.y.element_size()
    tensors = (track.x, track.y, *track.w, *track.start)
    ragged = track.lengths is not None and bool((track.lengths < steps).any())
    return (
        track.w.w_hr is None
        and held <= MEMORY
        and all(_is_end(t, end, track) for t, end in track.ends.items())
        and not (ragged and any(e.c is not None and bool(e.c.any()) for e in track.ends.values()))
        and kernels.obstacle(tensors) is None
        and kernels.present()
    )


def _is_end(t: int, end: End, track: Track) -> bool:
    """Whether the gradients seen here come from no later step of the same track."""
    return not end.c_is_total and (t == track.steps - 1 or end.samples is not None)


def _agree(y: Tensor, track: Track) -> bool:
    off = (y - track.y).abs() > AGREE[y.dtype] * (1 + track.y.abs())
    off |= ~track.y.isfinite()
    if track.lengths is not None:
        off &= (torch.arange(len(y)).unsqueeze(1) < track.lengths).unsqueeze(-1)
    return not bool(off.any())
