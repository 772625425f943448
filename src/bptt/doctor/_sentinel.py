"""Sentinels: what is looked at in every update, at next to no cost.

Before an optimizer's step: the norm of its gradients (which says whether all are finite), what clipping did, whether
gradients of earlier updates are still there. After it: how far the recurrent weights moved, from a sample of them.
"""

import math
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.doctor import _clip
from bptt.doctor._by_hand import HandUpdates
from bptt.doctor._seen import Forward, Shield
from bptt.flow.record._announce import Root, listen, unlisten
from bptt.rules import Updates, Weights

SAMPLE = 2048
"""Entries of a weight that are compared before and after a step."""
EVERY_ONE = 32
"""Updates in which everything is looked at; later on, what costs most is thinned out where updates are short."""
MOST_SELDOM = 64
"""At least one update of so many is looked at whole."""
WHOLE_EVERY = 16
"""Updates after which all weights are compared, not only recurrent ones."""


class Row:
    """What is known of the update that is going on."""

    def __init__(self) -> None:
        self.loss = math.nan
        self.norm = self.unclipped = self.clip = self.coefficient = math.nan
        self.by_hand = math.nan
        self.passes = 0
        self.before: list[Tensor] = []
        self.whole: list[Tensor] | None = None


class Owner:
    """One optimizer: its parameters, and one entry for each of its steps."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.weak = weakref.ref(optimizer)
        self.updates = Updates()
        self.numbers: list[int] = []
        self.begun_with_grads: list[bool] = []
        self.row = Row()
        self._key: tuple[int, ...] = ()
        self.parameters: list[Tensor] = []

    def refresh(self, optimizer: Optimizer) -> None:
        """Parameters may be added to an optimizer later."""
        key = tuple(len(group["params"]) for group in optimizer.param_groups)
        if key != self._key:
            self._key = key
            self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
            self.ids = {id(p) for p in self.parameters}

    ids: set[int] = set()  # noqa: RUF012  of the parameters; set by refresh


class Sentinel:
    """Looks at every pass and step between `start` and `stop`.

    Args:
        model: whose recurrent modules count; None for those of the whole process.
        shield: what keeps faults out of the training.
        alarm: called with `forward` or `backward` as soon as something is not finite, before weights change.
    """

    def __init__(
        self, model: nn.Module | None, alarm: Callable[[str], None], shield: Shield
    ) -> None:
        self.forward = Forward(model, shield)
        self._begins, self._ends = shield(self._pass_begins), shield(self._pass_ends)
        self._heard = shield(self._clipped)
        self.owners: dict[int, Owner] = {}
        self.weights: dict[int, Weights] = {}
        self.loss = math.nan
        self.root: Any = None
        self._alarm, self._alarmed = alarm, False
        self._clips: list[tuple[str, float, float | None]] = []
        self._grad_norm = math.nan
        self.hand = HandUpdates()
        self.full, self.stride = True, 1  # whether all is looked at in this update, and how seldom
        self.pass_over: Callable[[], None] = lambda: None
        self.by_hand: Callable[[], bool] = lambda: False

    def start(self) -> None:
        """Begin to look."""
        listen(self._pass)
        _clip.listen(self._heard)
        self.forward.start()

    def stop(self) -> None:
        """Stop looking."""
        unlisten(self._pass)
        _clip.unlisten(self._heard)
        self.forward.stop()

    # A backward pass.

    def _pass(self, roots: list[Root]) -> Callable[[], None] | None:
        self._begins(roots)
        return self._ends

    def _pass_begins(self, roots: list[Root]) -> None:
        values = [
            root.value for root in roots if root.value is not None and root.value.numel() == 1
        ]
        if values:
            self.loss = float(values[0])
            if not math.isfinite(self.loss) and not self._alarmed:
                self.root = roots[0].node
                self._raise("loss")
        for owner in self.owners.values():
            owner.row.passes += 1
            if self.full:
                owner.begun_with_grads.append(self._has_grad(owner))
        if not self.owners and roots:
            self.hand.begin(roots[0].node, self.loss)

    def _pass_ends(self) -> None:
        if not self.owners:
            self.hand.end()
            if self.by_hand():
                if not self.hand.finite:
                    self._raise("backward")
                self.forward.next_update()
        self.pass_over()
        weight = self._one_weight() if self.full else None
        self._grad_norm = math.nan if weight is None or weight.grad is None else _norm(weight.grad)

    def _has_grad(self, owner: Owner) -> bool:
        """Whether a gradient is there that is not zero, judged by one recurrent weight, or the largest."""
        known = [w for w in self._recurrent_weights() if id(w) in owner.ids]
        weight = known[0] if known else max(owner.parameters, key=Tensor.numel, default=None)
        return weight is not None and weight.grad is not None and bool(_sample(weight.grad).any())

    def _clipped(self, kind: str, limit: float, total: float | None) -> None:
        self._clips.append((kind, limit, total))

    # An optimizer's step.

    def before_step(self, optimizer: Optimizer) -> None:
        """Gradients are complete, weights not yet changed."""
        owner = self.owners.get(id(optimizer))
        if owner is None or owner.weak() is not optimizer:
            owner = self.owners[id(optimizer)] = Owner(optimizer)
        owner.refresh(optimizer)
        row = owner.row
        grads = [p.grad for p in owner.parameters if p.grad is not None]
        row.loss, row.norm = self.loss, _joint_norm(grads)
        row.clip, row.coefficient, row.unclipped = self._clipping(row.norm)
        if self.full:
            row.before = [_sample(w.detach()).clone() for w in self._watched(owner)]
        number = len(owner.updates)
        if number < WHOLE_EVERY or number % (WHOLE_EVERY * self.stride) == 0:
            row.whole = [_sample(p.detach()).clone() for p in owner.parameters]
        if not math.isfinite(row.norm):
            self._raise("backward")

    def after_step(self, optimizer: Optimizer, number: int) -> None:
        """Weights have changed; the update is over."""
        owner = self.owners.get(id(optimizer))
        if owner is None:
            return
        row, updates = owner.row, owner.updates
        moved = [_ratio(b, w) for b, w in zip(row.before, self._watched(owner), strict=False)]
        whole = math.nan
        if row.whole is not None:
            pairs = [
                (b, _sample(p.detach())) for b, p in zip(row.whole, owner.parameters, strict=False)
            ]
            size = math.hypot(*(float(b.norm()) for b, _ in pairs)) if pairs else 0.0
            step = math.hypot(*(float((a - b).norm()) for b, a in pairs)) if pairs else 0.0
            whole = step / size if size > 0 else math.nan
        updates.loss.append(row.loss)
        updates.norm.append(row.norm)
        updates.unclipped.append(row.unclipped)
        updates.clip.append(row.clip)
        updates.coefficient.append(row.coefficient)
        updates.lr.append(float(optimizer.param_groups[0].get("lr", math.nan)))
        updates.ratio.append(max(moved) if moved else whole)
        updates.whole_ratio.append(whole)
        updates.carried.append(self._carried(owner) if number > 1 else False)
        updates.finite.append(math.isfinite(row.norm))
        updates.passes.append(row.passes)
        owner.numbers.append(number)
        owner.begun_with_grads, owner.row = [], Row()
        if self.full:
            self._count_weights(owner)
        self.full = number < EVERY_ONE or number % self.stride == 0
        self._clips, self._grad_norm = [], math.nan
        self.forward.next_update()

    def _carried(self, owner: Owner) -> bool:
        if not self.full:
            return bool(owner.updates.carried) and owner.updates.carried[-1]
        return bool(owner.begun_with_grads) and all(owner.begun_with_grads)

    def look_less(self, times: float) -> None:
        """What can be left out of an update is left out of more of them; norms and finiteness never are."""
        self.stride = min(math.ceil(2 * times * self.stride), MOST_SELDOM)
        self.forward.watches = False

    def _clipping(self, norm: float) -> tuple[float, float, float]:
        """`(limit, coefficient, norm before)` of what was clipped in this update."""
        for kind, limit, total in reversed(self._clips):
            if kind == "norm" and total is not None:
                return limit, min(1.0, limit / (total + 1e-6)), total
        weight = self._one_weight()
        if weight is None or weight.grad is None or not self._grad_norm > 0:
            return math.nan, math.nan, norm
        left = _norm(weight.grad) / self._grad_norm
        limit = next((limit for kind, limit, _ in self._clips if kind == "value"), math.nan)
        if math.isnan(limit) and (left > 1 - 1e-4 or _is_power_of_two(left)):
            return math.nan, math.nan, norm  # nothing clips, or a loss scaler has undone its scale
        return (math.inf if math.isnan(limit) else limit), left, norm / left if left > 0 else norm

    # Recurrent weights.

    def _recurrent_weights(self) -> list[Tensor]:
        found = []
        for module in self.forward.living():
            own = module._parameters
            weight = own.get("weight_hh_l0", own.get("weight_hh"))
            if weight is None:  # parametrised: made anew when asked for
                weight = getattr(module, "weight_hh_l0", getattr(module, "weight_hh", None))
            if isinstance(weight, Tensor):
                found.append(weight)
        return found

    def _watched(self, owner: Owner) -> list[Tensor]:
        return [weight for weight in self._recurrent_weights() if id(weight) in owner.ids]

    def _one_weight(self) -> Tensor | None:
        return next((w for w in self._recurrent_weights() if w.requires_grad), None)

    def _count_weights(self, owner: Owner) -> None:
        ratio = owner.updates.ratio[-1]
        owned = {id(weight) for weight in self._watched(owner)}
        seldom = len(owner.updates) > 64 and len(owner.updates) % WHOLE_EVERY
        for module, weight in zip(self.forward.living(), self._recurrent_weights(), strict=False):
            facts = self.weights.setdefault(id(module), Weights(site=""))
            facts.trains = weight.requires_grad
            if id(weight) in owned:
                facts.owned = True
                facts.moved += bool(ratio > 0)
            elif ratio > 0:
                facts.other_moved += 1
            if id(module) not in self.forward.called or seldom:
                continue
            facts.steps += 1
            grad = weight.grad
            facts.with_grad += grad is not None and bool(_sample(grad).any())

    def _raise(self, what: str) -> None:
        if not self._alarmed:
            self._alarmed = what != "loss"
            self._alarm(what)


def _joint_norm(grads: list[Tensor]) -> float:
    """Euclidean norm of all; where its squares overflow, it is taken in float64."""
    if not grads:
        return 0.0
    dense = [grad.coalesce()._values() if grad.is_sparse else grad for grad in grads]
    if len({grad.device for grad in dense}) == 1:
        norms = torch._foreach_norm(dense)  # pyright: ignore[reportPrivateImportUsage]
        norm = math.hypot(*torch.stack(list(norms)).tolist())
    else:
        norm = math.hypot(*(_norm(grad) for grad in dense))
    if math.isfinite(norm):
        return norm
    return math.hypot(*(float(torch.linalg.vector_norm(g, dtype=torch.float64)) for g in dense))


def _norm(grad: Tensor) -> float:
    grad = grad.coalesce()._values() if grad.is_sparse else grad
    return float(grad.norm())


def _sample(weight: Tensor) -> Tensor:
    """Every so manieth entry, a view."""
    if weight.is_sparse:
        return weight.coalesce()._values().flatten()[:SAMPLE]
    flat = weight.reshape(-1) if weight.is_contiguous() else weight.flatten()
    return flat[:: max(1, flat.numel() // SAMPLE)]


def _ratio(before: Tensor, after: Tensor) -> float:
    size = float(before.norm())
    return float((_sample(after.detach()) - before).norm()) / size if size > 0 else math.nan


def _is_power_of_two(factor: float) -> bool:
    if not 0 < factor < math.inf:
        return False
    exponent = math.log2(factor)
    return abs(exponent - round(exponent)) < 1e-3
