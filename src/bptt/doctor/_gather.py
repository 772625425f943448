"""From flows and sentinels to the evidence that rules read."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.utils.data import BatchSampler, DataLoader

from bptt.doctor._loss import NOTHING, Axes
from bptt.doctor._owner import Owner
from bptt.doctor._schedule import MILESTONES as MILESTONES
from bptt.doctor._seen import Forward
from bptt.doctor._sentinel import Sentinel
from bptt.flow import Flow, Site
from bptt.flow.record._alive import alive
from bptt.flow.record._names import Names, _owner, _parents, site_name
from bptt.flow.walk._statistics import Statistics
from bptt.rules import Look, Updates, Weights

CALLS = 3
"""Calls of one module on detached states from which on it is taken for a cell."""


def looks_of(
    flow: Flow,
    update: int,
    carried: Iterable[str] = (),
    loaders: frozenset[int] = frozenset(),
    *,
    axes: Axes = NOTHING,
    loops_carried: bool = False,
    handed: Sequence[tuple[str, str, int]] = (),
    behind: Mapping[str, float] | None = None,
    loop_cuts: int = 0,
) -> list[Look]:
    """One look a site.

    Args:
        flow: what a probe measured.
        update: the number of the update.
        carried: names of modules whose state came from an earlier update.
        loaders: batch sizes of the process's data loaders.
        axes: what the loss says of the axes.
        loops_carried: loops written by hand begin where the update before ended.
        handed: `(giver, taker, steps)` of states that were handed on without their gradient, by modules' names.
        behind: by a module's name, the share of the rows behind its packed sequences' ends that is trained.
        loop_cuts: how often the only loop by hand was given its own state without its gradient.
    """
    modules = set(carried)
    found = []
    for site in flow:
        name = module_of(site.name)
        comes = name in modules or (loops_carried and site.kind == "own")
        look = look_of(site, update, comes, loaders, axes)
        quiet = next((steps for giver, taker, steps in handed if giver == taker == name), 0)
        look = replace(look, cuts=max(look.cuts, 1), quiet=quiet) if quiet else look
        rows = 0.0 if behind is None or not look.lengths_known else behind.get(name, 0.0)
        found.append(replace(look, behind=rows) if rows else look)
    own = [n for n, look in enumerate(found) if look.kind == "own"]
    if loop_cuts and len(own) == 1:
        found[own[0]] = replace(found[own[0]], cuts=loop_cuts, calls=loop_cuts + 1)
    known = {module_of(look.site) for look in found}
    return found + [
        cut_from(giver, taker, update)
        for giver, taker, _ in dict.fromkeys(handed)
        if giver != taker and giver not in known
    ]


def cut_from(giver: str, taker: str, update: int) -> Look:
    """A module whose state another one was given, and which no gradient reaches on any way."""
    site, milestone = site_name(giver, 0, False), update in MILESTONES
    return Look(site, update, milestone, "own", steps=1, batch=1, cuts=1, calls=2, taker=taker)


def look_of(
    site: Site, update: int, carried: bool, loaders: frozenset[int], axes: Axes = NOTHING
) -> Look:
    """A site of a flow as rules see it."""
    s = site.statistics or Statistics()
    curve = site.log_credit
    return Look(
        site=site.name,
        update=update,
        milestone=update in MILESTONES,
        kind=site.kind,
        steps=site.steps,
        batch=site.batch,
        lags=site.lags,
        threshold=site.threshold,
        horizon=site.horizon,
        rate=site.rate,
        unreached=site.unreached,
        log_credit=() if curve is None else tuple(curve[: site.lags + 1].tolist()),
        bearing=s.bearing,
        bearing_samples=s.bearing_samples,
        cuts=max(s.cuts, site.cuts),
        calls=s.calls,
        carried=carried,
        zeros=s.zeros,
        smallest=s.smallest,
        largest=s.largest,
        precision=s.precision,
        saturated=s.saturated,
        saturated_units=s.saturated_units,
        shut=s.shut,
        open=s.open,
        extreme=s.extreme,
        gate_means=s.gate_means,
        dead=None if s.dead is None else len(s.dead) / max(s.units, 1),
        dead_units=s.dead or frozenset(),
        padding=s.padding,
        padding_loss=s.padding_loss,
        lengths_known=s.lengths_known,
        loader_batches=loaders,
        loss_rows=axes.rows if axes.row_size % max(site.batch, 1) else None,
        shifted=axes.shifted,
        reverse=site.reverse,
    )


def cut_off(sentinel: Sentinel, names: Names, update: int) -> list[Look]:
    """Loops by hand that get their own state without its gradient at every step, and so have none to follow."""
    milestone = update in MILESTONES
    found = [_one_step(site, cuts, update) for site, cuts in _cut_modules(sentinel.forward, names)]
    found = found or [_one_step(site, cuts, update) for site, cuts in sentinel.loops.cut_off(names)]
    return [replace(look, milestone=milestone) for look in found[:1]]


def _one_step(site: str, cuts: int, update: int) -> Look:
    return Look(site, update, False, "own", steps=1, batch=1, cuts=cuts, calls=cuts + 1)


def _cut_modules(forward: Forward, names: Names) -> Iterable[tuple[str, int]]:
    """Modules of which most calls were given what an earlier call of theirs had made, and how often."""
    for calls, cuts, weak in forward.steps.values():
        module = weak() if weak is not None else None
        if module is None or calls < CALLS or 2 * len(cuts) < calls:
            continue
        if any(id(each) in forward.modules for each in module.modules()):
            continue  # torch's own recurrent modules are followed by themselves
        own = set(map(id, module.parameters()))
        times = forward.taken.repeated(each for each in cuts if each.leaves & own)
        if 2 * times >= calls:
            yield names(module) or type(module).__name__, times


def module_of(site: str) -> str:
    """The module's name: the site's without layer and direction.

    Example:
        >>> module_of("encoder.rnn.l0_reverse"), module_of("l1"), module_of("cell")
        ('encoder.rnn', '', 'cell')
    """
    head, _, last = site.rpartition(".")
    number = last.removesuffix("_reverse")
    return head if number[:1] == "l" and number[1:].isdigit() else site


def batch_sizes() -> frozenset[int]:
    """Batch sizes of the data loaders that are alive."""
    # A loader made in the loop's own line lives no longer than its iterator, which keeps the batch sampler.
    kinds = (DataLoader, BatchSampler)
    found = [each.batch_size for each in alive(*kinds) if type(each) in kinds]
    return frozenset(size for size in found if size)


def scales_loss() -> bool:
    """Whether a loss scaler of mixed precision is at work."""
    return any(each.is_enabled() for each in alive(GradScaler))


def main_owner(sentinel: Sentinel) -> Owner | None:
    """The optimizer whose steps rules look at: the one that owns most recurrent weights, then the one most at work."""
    recurrent = {id(weight) for weight in sentinel.recurrent.each()}
    known = [owner for owner in sentinel.owners.values() if len(owner.updates)]
    return max(known, key=lambda o: (len(recurrent & o.ids), o.updates.count), default=None)


def updates_of(sentinel: Sentinel, names: Names | None = None) -> Updates:
    """The main optimizer's entries. A factor that is the same in every update is a mean, not a clipping."""
    owner = main_owner(sentinel)
    if owner is None:
        return sentinel.hand.updates
    updates = owner.updates
    if names is not None and len(sentinel.owners) > 1:
        _leave_over(updates, sentinel, names)
    factors = {round(c, 5) for c in updates.coefficient if not math.isnan(c)}
    if len(factors) == 1 and len(updates) > 2 and all(math.isinf(c) for c in updates.clip):
        nothing = [math.nan] * len(updates)
        updates.clip, updates.coefficient = list(nothing), list(nothing)
        updates.unclipped = list(updates.norm)
    return updates


def _leave_over(updates: Updates, sentinel: Sentinel, names: Names) -> None:
    """Of several optimizers, gradients that are left over are told of the one that has the most of them."""
    worst = max(sentinel.owners.values(), key=lambda owner: sum(owner.updates.carried[1:]))
    if any(worst.updates.carried[1:]):
        living = sentinel.forward.living()
        mine = [m for m in living if any(id(each) in worst.ids for each in m.parameters())]
        updates.left_over = worst.updates.carried
        updates.holds = ", ".join(filter(None, map(names, mine)))


def weights_of(sentinel: Sentinel, names: Names) -> dict[str, Weights]:
    """Facts of each recurrent module, by the name of its first site; one that has died since keeps the name it had."""
    found = {facts.site: facts for facts in sentinel.recurrent.facts.values() if facts.site}
    for module in sentinel.forward.living():
        facts = sentinel.recurrent.facts.get(id(module))
        if facts is not None:
            path = names(module)
            cell = not isinstance(module, nn.RNNBase)
            facts.site = (path or type(module).__name__) if cell else site_name(path, 0, False)
            found[facts.site] = facts
            facts.eval_only = facts.eval_only or not (facts.trains or module.training)
    moved = {facts.moved > 0 for facts in found.values()}
    if len(moved) == 2:  # some stand still, and others that they may be copies of do not
        _copies(sentinel)
    return found


def _copies(sentinel: Sentinel) -> None:
    """A copy of a model that trains stands still on purpose: the slow half of two, a target network, a teacher."""
    living = [m for m in sentinel.forward.living() if id(m) in sentinel.recurrent.facts]
    owners = outermost(living)
    kinds = [(type(owner), path) for owner, path in owners]
    moving = {
        kind
        for kind, module, (owner, _) in zip(kinds, living, owners, strict=True)
        if owner is not module and sentinel.recurrent.facts[id(module)].moved
    }
    for kind, module in zip(kinds, living, strict=True):
        facts = sentinel.recurrent.facts[id(module)]
        facts.eval_only = facts.eval_only or (not facts.moved and kind in moving)


def outermost(modules: list[nn.Module]) -> list[tuple[nn.Module, str]]:
    """For each, the outermost living module that holds it, and its path there."""
    parents = _parents()
    owners = [_owner(module, parents) for module in modules]
    return [
        (owner, next(path for path, each in owner.named_modules() if each is module))
        for owner, module in zip(owners, modules, strict=True)
    ]
