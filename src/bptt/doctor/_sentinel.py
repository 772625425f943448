"""Sentinels: what is looked at in every update, at next to no cost.

Before an optimizer's step: the norm of its gradients (which says whether all are finite), what clipping did, whether
gradients of earlier updates are still there. After it: how far the recurrent weights moved, from a sample of them.
`Thrift` says which of these are left out of some updates, where updates are very short.
"""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.doctor import _clip
from bptt.doctor._by_hand import HandUpdates
from bptt.doctor._gauge import is_power_of_two, joint_norm, norms, sample
from bptt.doctor._loops import PASSES, Loops
from bptt.doctor._loss import NOTHING, axes
from bptt.doctor._owner import Owner
from bptt.doctor._recurrent import WHOLE_EVERY, RecurrentWeights
from bptt.doctor._seen import Forward, Shield
from bptt.flow.record._announce import Root, listen, unlisten
from bptt.flow.record._shelter import each_of

EVERY_ONE = 32
"""Updates in which everything is looked at."""
Clip = tuple[str, float, float | None]
"""What clipped (`norm`, `value`), its limit, the norm before it."""


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
        self.recurrent = RecurrentWeights(self.forward)
        self._begins, self._ends = shield(self._pass_begins), shield(self._pass_ends)
        self.owners: dict[int, Owner] = {}
        self.loss = math.nan
        self.root: Any = None
        self._alarm, self._alarmed = alarm, False
        self._clips: list[Clip] = []
        self._grad_norm = math.nan
        self._unclaimed = 0  # passes before there was any optimizer to count them for
        self.hand, self.loops = HandUpdates(), Loops(model)
        self.axes = NOTHING
        self.number, self.stride = 0, 1  # updates so far, and how seldom all is looked at
        self.full = self.was_full = True  # whether it is in this update, and was in the one before
        self._next_whole = 0
        self._cuts_watched = False
        self.milestones: tuple[int, ...] = ()
        self.pass_over: Callable[[], None] = lambda: None
        self.by_hand: Callable[[], bool] = lambda: False

    def start(self) -> None:
        """Begin to look."""
        listen(self._pass, self._pass_in_brief)
        _clip.listen(self._clipped)
        self.forward.start()
        self._watch_cuts(self._judged_next())

    def stop(self) -> None:
        """Stop looking."""
        each_of(
            lambda: unlisten(self._pass),
            lambda: _clip.unlisten(self._clipped),
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

    def _pass_in_brief(self, tensors: Any) -> bool:
        """All that a thin look wants of a pass: its loss. False where there is more to see."""
        if self.full or not isinstance(tensors, Tensor) or tensors.numel() != 1:
            return False
        owners = self.owners.values()
        if any(owner.one is not None and owner.one.grad is not None for owner in owners):
            return False
        loss = tensors.item()
        if not owners or not math.isfinite(loss):
            return False
        self.loss = float(loss)
        for owner in owners:
            owner.row.passes += 1
            if owner.one is not None:
                owner.begun_with_grads.append(False)
        return True

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
        known = self.recurrent.of(owner)
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
        if self.full or not owner.parameters:
            owner.refresh(optimizer)
        row = owner.row
        row.loss, clip = self.loss, self._clip_by_norm()
        row.norm = self._norm(owner, clip)
        row.clip, row.coefficient, row.unclipped = clip or self._clipping(row.norm)
        if owner.unusual(row.norm) or self.full:
            number = owner.updates.count
            whole = number < WHOLE_EVERY or number % (WHOLE_EVERY * self.stride) == 0
            owner.hold(self.recurrent.of(owner), whole)
        if not math.isfinite(row.norm):
            self._raise("backward")

    def _clip_by_norm(self) -> tuple[float, float, float] | None:
        """`(limit, coefficient, norm before)` of the last clipping by norm in this update."""
        for _, limit, total in reversed(self._clips):
            if total is not None:
                left = limit / (total + 1e-6)  # torch's own arithmetic
                return limit, 1.0 if left > 1.0 else left, total
        return None

    def _norm(self, owner: Owner, clip: tuple[float, float, float] | None) -> float:
        """Of the gradients that this step uses.

        Clipping has just computed it, if it clips what this optimizer steps. Whole looks say whether that is so, and
        thin ones then take its word.
        """
        told = math.nan if clip is None else clip[1] * clip[2]
        if clip is not None and owner.clipping_tells and not self.full:
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
            ratio, whole = owner.moved(self.recurrent.of(owner))
        elif owner.updates.ratio:
            ratio = owner.updates.ratio[-1]  # nothing says that it has changed
        carried = self._carried(owner) if number > 1 else False
        lr = float(optimizer.param_groups[0].get("lr", math.nan))
        before = owner.row.before
        owner.enter(number, ratio, whole, carried, lr)
        if self.full:
            owned = {key for each in self.owners.values() for key in each.ids}
            self.loops.update(owned, owner.updates.ratio[-1] > 0)
            self.recurrent.count(owner, before)
        self.number, self.was_full = number, self.full
        self.full = number + 1 >= self._next_whole
        self._clips, self._grad_norm = [], math.nan
        self.forward.next_update(self.full)
        if self.full:
            self._next_whole = self._whole_after(number + 1)
        if (self.full or self._cuts_watched) and self._judged_next() != self._cuts_watched:
            self._watch_cuts(not self._cuts_watched)

    def _judged_next(self) -> bool:
        """Whether the next update is one that rules judge by, or one of the first."""
        return self.number < PASSES or self.number + 1 in self.milestones

    def _watch_cuts(self, yes: bool) -> None:
        """Look at what is detached or padded, or no longer."""
        self._cuts_watched = yes
        each_of(
            lambda: self.forward.taken.watch(yes),
            lambda: self.forward.behind.watch(yes),
        )

    def _whole_after(self, number: int) -> int:
        """The next update after that one in which all is looked at.

        A state that a milestone is given comes from the update before it, which is looked at, too.
        """
        if number < EVERY_ONE:
            return number + 1
        later = next((each for each in self.milestones if each > number), math.inf)
        before = later - 1 if later - 1 > number else later
        return int(min(number - number % self.stride + self.stride, before))

    def _carried(self, owner: Owner) -> bool:
        if owner.row.passes and not owner.begun_with_grads:  # not looked at: it was as it is
            return bool(owner.updates.carried) and owner.updates.carried[-1]
        return bool(owner.begun_with_grads) and all(owner.begun_with_grads)

    def look_less(self, stride: int) -> None:
        """Look at every `stride`-th update whole; norms and finiteness are looked at in all of them."""
        self.stride = stride | 1  # odd: of two optimizers in turn, each has its share
        self._next_whole = self._whole_after(self.number)
        self.forward.watches = stride == 1

    def _clipping(self, norm: float) -> tuple[float, float, float]:
        """`(limit, coefficient, norm before)` where torch did not clip by norm in this update."""
        limit = next((limit for kind, limit, _ in self._clips if kind == "value"), math.nan)
        weight = self._one_weight() if self.full else None
        if weight is None or weight.grad is None or not self._grad_norm > 0:
            return limit, math.nan, norm
        left = norms([weight.grad])[0] / self._grad_norm
        if math.isnan(limit) and (left > 1 - 1e-4 or is_power_of_two(left)):
            return math.nan, math.nan, norm  # nothing clips, or a loss scaler has undone its scale
        return (math.inf if math.isnan(limit) else limit), left, norm / left if left > 0 else norm

    def _one_weight(self) -> Tensor | None:
        known = [*self.recurrent.each(), *self.loops.weights()]
        return next((weight for weight in known if weight.requires_grad), None)

    def _raise(self, what: str) -> None:
        if not self._alarmed:
            self._alarmed = what != "loss"
            self._alarm(what)
