"""From flows and sentinels to the evidence that rules read."""

import gc
import math
from collections.abc import Iterable, Sequence
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
    """
    modules = set(carried)
    found = []
    for site in flow:
        name = module_of(site.name)
        comes = name in modules or (loops_carried and site.kind == "own")
        look = look_of(site, update, comes, loaders, axes)
        quiet = next((steps for giver, taker, steps in handed if giver == taker == name), 0)
        found.append(replace(look, cuts=max(look.cuts, 1), quiet=quiet) if quiet else look)
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


def cut_off(forward: Forward, names: Names, update: int) -> list[Look]:
    """Modules that are called again and again on what was detached: a loop by hand that has no gradient to follow."""
    found = []
    for calls, cuts, weak in forward.steps.values():
        module = weak() if weak is not None else None
        if module is None or calls < CALLS or cuts < calls - 1:
            continue
        if any(id(each) in forward.modules for each in module.modules()):
            continue  # torch's own recurrent modules are followed by themselves
        site = names(module) or type(module).__name__
        milestone = update in MILESTONES
        found.append(Look(site, update, milestone, "own", steps=1, batch=1, cuts=cuts, calls=calls))
    return found[:1]


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
    found = (e.batch_size for e in gc.get_objects() if type(e) in (DataLoader, BatchSampler))
    return frozenset(size for size in found if size)


def scales_loss() -> bool:
    """Whether a loss scaler of mixed precision is at work."""
    return any(
        issubclass(type(each), GradScaler) and each.is_enabled() for each in gc.get_objects()
    )


def main_owner(sentinel: Sentinel) -> Owner | None:
    """The optimizer whose steps rules look at: the one that owns most recurrent weights, then the one most at work."""
    recurrent = {id(weight) for weight in sentinel._recurrent_weights()}
    known = [owner for owner in sentinel.owners.values() if len(owner.updates)]
    return max(known, key=lambda o: (len(recurrent & o.ids), len(o.updates)), default=None)


def updates_of(sentinel: Sentinel) -> Updates:
    """The main optimizer's entries. A factor that is the same in every update is a mean, not a clipping."""
    owner = main_owner(sentinel)
    if owner is None:
        return sentinel.hand.updates
    updates = owner.updates
    factors = {round(c, 5) for c in updates.coefficient if not math.isnan(c)}
    if len(factors) == 1 and len(updates) > 2 and all(math.isinf(c) for c in updates.clip):
        nothing = [math.nan] * len(updates)
        updates.clip, updates.coefficient = list(nothing), list(nothing)
        updates.unclipped = list(updates.norm)
    return updates


def weights_of(sentinel: Sentinel, names: Names) -> dict[str, Weights]:
    """Facts of each recurrent module, by the name of its first site; one that has died since keeps the name it had."""
    found = {facts.site: facts for facts in sentinel.weights.values() if facts.site}
    for module in sentinel.forward.living():
        facts = sentinel.weights.get(id(module))
        if facts is not None:
            path = names(module)
            cell = not isinstance(module, nn.RNNBase)
            facts.site = (path or type(module).__name__) if cell else site_name(path, 0, False)
            found[facts.site] = facts
            facts.eval_only = facts.eval_only or not (facts.trains or module.training)
    if any(not facts.moved for facts in found.values()):
        _copies(sentinel)
    return found


def _copies(sentinel: Sentinel) -> None:
    """A copy of a model that trains stands still on purpose: the slow half of two, a target network, a teacher."""
    living = [m for m in sentinel.forward.living() if id(m) in sentinel.weights]
    owners = outermost(living)
    kinds = [(type(owner), path) for owner, path in owners]
    moving = {
        kind
        for kind, module, (owner, _) in zip(kinds, living, owners, strict=True)
        if owner is not module and sentinel.weights[id(module)].moved
    }
    for kind, module in zip(kinds, living, strict=True):
        facts = sentinel.weights[id(module)]
        facts.eval_only = facts.eval_only or (not facts.moved and kind in moving)


def outermost(modules: list[nn.Module]) -> list[tuple[nn.Module, str]]:
    """For each, the outermost living module that holds it, and its path there."""
    parents = _parents()
    owners = [_owner(module, parents) for module in modules]
    return [
        (owner, next(path for path, each in owner.named_modules() if each is module))
        for owner, module in zip(owners, modules, strict=True)
    ]
