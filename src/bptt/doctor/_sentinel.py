"""Sentinels: what is looked at in every update, at next to no cost.

Before an optimizer's step: the norm of its gradients (which says whether all are finite), what clipping did, whether
gradients of earlier updates are still there. After it: how far the recurrent weights moved, from a sample of them.
`Thrift` says which of these are left out of some updates, where updates are very short.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.doctor import _clip
from bptt.doctor._by_hand import HandUpdates
from bptt.doctor._gauge import is_power_of_two, joint_norm, norms, sample
from bptt.doctor._loops import PASSES, Loops
from bptt.doctor._loss import NOTHING, axes
from bptt.doctor._owner import Owner
from bptt.doctor._seen import Forward, Shield
from bptt.flow.record._announce import Root, listen, unlisten
from bptt.flow.record._shelter import each_of
from bptt.rules import Weights

EVERY_ONE = 32
"""Updates in which everything is looked at."""
WHOLE_EVERY = 16
"""Updates after which all weights are compared, not only recurrent ones."""


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
        self.forward = Forward(model)
        self._begins, self._ends = shield(self._pass_begins), shield(self._pass_ends)
        self._heard = shield(self._clipped)
        self.owners: dict[int, Owner] = {}
        self.weights: dict[int, Weights] = {}
        self.loss = math.nan
        self.root: Any = None
        self._alarm, self._alarmed = alarm, False
        self._clips: list[tuple[str, float, float | None]] = []
        self._grad_norm = math.nan
        self._unclaimed = 0  # passes before there was any optimizer to count them for
        self.hand, self.loops = HandUpdates(), Loops(model)
        self.axes = NOTHING
        self.number, self.stride = 0, 1  # updates so far, and how seldom all is looked at
        self.full = self.was_full = True  # whether it is in this update, and was in the one before
        self._cuts_watched = False
        self.milestones: Callable[[int], bool] = lambda number: False
        self.pass_over: Callable[[], None] = lambda: None
        self.by_hand: Callable[[], bool] = lambda: False

    def start(self) -> None:
        """Begin to look."""
        listen(self._pass)
        _clip.listen(self._heard)
        self.forward.start()
        self._watch_cuts(self._judged_next())

    def stop(self) -> None:
        """Stop looking."""
        each_of(
            lambda: unlisten(self._pass),
            lambda: _clip.unlisten(self._heard),
            self.forward.stop,
            lambda: self._watch_cuts(False),
        )

    def forget(self) -> None:
        """Drop what is known of the update that is going on."""
        self.forward.forget()
        self.forward.taken.forget()
        self.hand.forget()
        self._clips, self._grad_norm, self.full = [], math.nan, True
        for owner in self.owners.values():
            owner.forget()

    # A backward pass.

    def _pass(self, roots: list[Root]) -> Callable[[], None] | None:
        self._begins(roots)
        return self._ends if self.full or not self.owners else None

    def _pass_begins(self, roots: list[Root]) -> None:
        values = [
            root.value for root in roots if root.value is not None and root.value.numel() == 1
        ]
        if values:
            self.loss = float(values[0])
            if not math.isfinite(self.loss) and not self._alarmed:
                self.root = roots[0].node
                self._raise("loss")
        self._unclaimed += not self.owners
        if self.full and roots:
            known, now = self.axes, axes(roots[0].node, self.forward.inputs())
            self.axes = now._replace(shifted=now.shifted or known.shifted)
            taken = self.forward.taken
            self.loops.look([root.node for root in roots], self.forward.living(), taken)
            taken.next_pass()
        for owner in self.owners.values():
            owner.row.passes += 1
            if self.full:
                owner.begun_with_grads.append(self._has_grad(owner))
            elif (
                owner.one is not None
            ):  # cleared gradients are gone as a rule, and this costs nothing then
                grad = owner.one.grad
                owner.begun_with_grads.append(grad is not None and bool(sample(grad).any()))
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
        grad = None if weight is None else weight.grad
        self._grad_norm = math.nan if grad is None else norms([grad])[0]

    def _has_grad(self, owner: Owner) -> bool:
        """Whether a gradient is there that is not zero, judged by one recurrent weight, or the largest."""
        known = [w for w in self._recurrent_weights() if id(w) in owner.ids]
        weight = known[0] if known else max(owner.parameters, key=Tensor.numel, default=None)
        owner.one = weight
        return weight is not None and weight.grad is not None and bool(sample(weight.grad).any())

    def _clipped(self, kind: str, limit: float, total: float | None) -> None:
        self._clips.append((kind, limit, total))

    # An optimizer's step.

    def before_step(self, optimizer: Optimizer) -> None:
        """Gradients are complete, weights not yet changed."""
        owner = self.owners.get(id(optimizer))
        if owner is None or owner.weak() is not optimizer:
            owner = self.owners[id(optimizer)] = Owner(optimizer)
            owner.row.passes = self._unclaimed
        owner.refresh(optimizer)
        row = owner.row
        row.loss, row.norm = self.loss, self._norm(owner)
        row.clip, row.coefficient, row.unclipped = self._clipping(row.norm)
        if owner.unusual(row.norm) or self.full:
            number = len(owner.updates)
            whole = number < WHOLE_EVERY or number % (WHOLE_EVERY * self.stride) == 0
            owner.hold(self._watched(owner), whole)
        if not math.isfinite(row.norm):
            self._raise("backward")

    def _norm(self, owner: Owner) -> float:
        """Of the gradients that this step uses.

        Clipping has just computed it, if it clips what this optimizer steps. Whole looks say whether that is so, and
        thin ones then take its word.
        """
        clip = next((each for each in reversed(self._clips) if each[2] is not None), None)
        told = math.nan if clip is None else _left(clip) * float(clip[2] or 0.0)
        if not self.full and owner.clipping_tells and clip is not None:
            return told
        norm = joint_norm([p.grad for p in owner.parameters if p.grad is not None])
        if self.full:
            owner.clipping_tells = abs(told - norm) <= 1e-3 * norm
        return norm

    def after_step(self, optimizer: Optimizer, number: int) -> None:
        """Weights have changed; the update is over."""
        owner = self.owners.get(id(optimizer))
        if owner is None:
            return
        looked, ratio, whole = bool(owner.row.before or owner.row.whole), math.nan, math.nan
        if looked:
            ratio, whole = owner.moved(self._watched(owner))
        elif owner.updates.ratio:
            ratio = owner.updates.ratio[-1]  # nothing says that it has changed
        carried = self._carried(owner) if number > 1 else False
        lr = float(optimizer.param_groups[0].get("lr", math.nan))
        before = owner.row.before
        owner.enter(number, ratio, whole, carried, lr)
        if self.full:
            self._count_weights(owner, before)
        self.number, self.was_full = number, self.full
        self.full = self._whole_next(number + 1)
        self._clips, self._grad_norm = [], math.nan
        self.forward.next_update(self.full)
        if self._judged_next() != self._cuts_watched:
            self._watch_cuts(not self._cuts_watched)

    def _judged_next(self) -> bool:
        """Whether the next update is one that rules judge by, or one of the first."""
        return self.number < PASSES or self.milestones(self.number + 1)

    def _watch_cuts(self, yes: bool) -> None:
        """Look at what is detached or padded, or no longer."""
        self._cuts_watched = yes
        each_of(
            lambda: self.forward.taken.watch(yes),
            lambda: self.forward.behind.watch(yes),
        )

    def _whole_next(self, number: int) -> bool:
        """Whether all is looked at in that update: a state that a milestone is given comes from the one before."""
        if number <= EVERY_ONE or number % self.stride == 0:
            return True
        return self.milestones(number) or self.milestones(number + 1)

    def _carried(self, owner: Owner) -> bool:
        if owner.row.passes and not owner.begun_with_grads:  # not looked at: it was as it is
            return bool(owner.updates.carried) and owner.updates.carried[-1]
        return bool(owner.begun_with_grads) and all(owner.begun_with_grads)

    def look_less(self, stride: int) -> None:
        """Look at every `stride`-th update whole; norms and finiteness are looked at in all of them."""
        self.stride = stride | 1  # odd: of two optimizers in turn, each has its share
        self.forward.watches = stride == 1

    def _clipping(self, norm: float) -> tuple[float, float, float]:
        """`(limit, coefficient, norm before)` of what was clipped in this update."""
        for clip in reversed(self._clips):
            _, limit, total = clip
            if total is not None:
                return limit, _left(clip), total
        limit = next((limit for kind, limit, _ in self._clips if kind == "value"), math.nan)
        weight = self._one_weight() if self.full else None
        if weight is None or weight.grad is None or not self._grad_norm > 0:
            return limit, math.nan, norm
        left = norms([weight.grad])[0] / self._grad_norm
        if math.isnan(limit) and (left > 1 - 1e-4 or is_power_of_two(left)):
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
        known = [*self._recurrent_weights(), *self.loops.weights()]
        return next((weight for weight in known if weight.requires_grad), None)

    def _count_weights(self, owner: Owner, before: list[Tensor]) -> None:
        ratio = owner.updates.ratio[-1]
        self.loops.update({key for each in self.owners.values() for key in each.ids}, ratio > 0)
        owned = {id(weight) for weight in self._watched(owner)}
        pairs = zip(before, self._watched(owner), strict=False)
        still = {id(weight) for held, weight in pairs if torch.equal(held, sample(weight.detach()))}
        seldom = len(owner.updates) > 64 and len(owner.updates) % WHOLE_EVERY
        for module, weight in zip(self.forward.living(), self._recurrent_weights(), strict=False):
            facts = self.weights.setdefault(id(module), Weights(site=""))
            facts.trains = weight.requires_grad
            if id(weight) in owned:
                facts.owned = True
                facts.moved += id(weight) not in still
            elif ratio > 0:
                facts.other_moved += 1
            if id(module) not in self.forward.called or seldom:
                continue
            facts.steps += 1
            grad = weight.grad
            facts.with_grad += grad is not None and bool(sample(grad).any())

    def _raise(self, what: str) -> None:
        if not self._alarmed:
            self._alarmed = what != "loss"
            self._alarm(what)


def _left(clip: tuple[str, float, float | None]) -> float:
    """What clipping by norm multiplied the gradient by; torch's own arithmetic."""
    _, limit, total = clip
    left = limit / ((total or 0.0) + 1e-6)
    return left if math.isnan(left) else min(1.0, left)
