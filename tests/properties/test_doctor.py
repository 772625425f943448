"""The doctor: verdicts that are silent, monitors that disturb nothing, and runs that are read as they were written."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import bptt
from bptt.doctor import (
    Config,
    ConfigError,
    Logbook,
    Monitor,
    Prescription,
    RunFolder,
    Schedule,
    Tally,
    default_folder,
    diagnose,
    open_run,
    prescribe,
    read_run,
)
from bptt.doctor._series import Update
from bptt.doctor._tally import finite
from bptt.rules import UnknownRuleError, chosen, codes, page, rule, table
from properties.drawn import Draft, Net, drafts, layouts, refused, squared, times

pytestmark = pytest.mark.filterwarnings("ignore:dropout option adds dropout after all but last")

steps, batches = st.integers(1, 9), st.integers(1, 4)
words = st.sampled_from([*table(), "VG", "vanishing-through-time", "eg", "XX999"]) | st.text(
    max_size=6
)
floats = st.floats() | st.sampled_from([0.0, 1e-3, 0.02, 1.0])


def state(net: Net) -> list[Any]:
    """Weights, gradients, random numbers."""
    held = [p.detach().clone() for p in net.parameters()]
    return [
        *held,
        *(None if p.grad is None else p.grad.clone() for p in net.parameters()),
        torch.get_rng_state(),
    ]


def same(one: list[Any], other: list[Any]) -> bool:
    """To the bit."""
    return all(
        (a is None) == (b is None) and (a is None or torch.equal(a, b))
        for a, b in zip(one, other, strict=True)
    )


@times(12)
@given(drafts(), steps, batches, layouts, st.none() | st.integers(1, 30))
def test_a_diagnosis_leaves_the_model_and_is_the_same_again(
    draft: Draft, T: int, B: int, layout: str, lag: int | None
) -> None:
    net = Net(draft)
    x = net.x(T, B, layout)
    squared(net(x)).backward()
    before = state(net)
    found = diagnose(net, x, loss=squared, lag=lag)
    assert same(state(net), before)
    again = diagnose(net, x, loss=squared, lag=lag)
    assert list(map(str, again.findings)) == list(map(str, found.findings))
    assert found.healthy == all(each.severity == "advice" for each in found.findings)
    order = [("error", "warning", "advice").index(each.severity) for each in found.findings]
    assert order == sorted(order)
    for finding in found.findings:
        assert finding.code in table()
        assert finding.site in found.flow.sites or finding.site == ""
        assert finding.message
        for prescription in finding.prescriptions:
            assert isinstance(prescription, Prescription)
            before = state(net)
            try:
                change = prescription.apply(net, torch.optim.SGD(net.parameters(), 0.1))
            except bptt.BpttError as error:
                refused(error)
            else:
                change.undo()
            assert same(state(net), before)


@times(4)
@given(drafts(hidden=st.sampled_from([2, 5])), st.integers(2, 9), batches)
def test_what_is_prescribed_was_tried_on_copies(draft: Draft, T: int, B: int) -> None:
    net = Net(draft)
    before = state(net)
    found = prescribe(net, net.x(T, B), loss=squared)
    assert same(state(net), before)
    assert [row for row in found.rows if row.prescription is None]
    for row in found.rows:
        assert row.horizon is None or 0 <= row.horizon <= row.lags
    assert all(len(row.refused) > 10 for row in found.refused)
    assert str(found).count("\n") == len(found.rows)


OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, 0.01),
    "lbfgs": lambda p: torch.optim.LBFGS(p, 0.1, max_iter=2),
}


def trained(draft: Draft, name: str, x: Tensor, updates: int, monitor: Any) -> list[Any]:
    """Losses and all that is left after a few updates."""
    net = Net(draft)
    optimizer, losses = OPTIMIZERS[name](net.parameters()), []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = squared(net(x))
        loss.backward()
        return loss

    torch.manual_seed(draft.seed)
    watch = monitor(net, optimizer)
    for _ in range(updates):
        if name == "lbfgs":
            losses.append(optimizer.step(closure).detach())
        else:
            losses.append(closure().detach())
            optimizer.step()
    if watch is not None:
        watch.stop()
        assert watch.fault is None, watch.fault
        assert watch.updates == updates
    return [*losses, *state(net)]


def watching(net: Net, optimizer: torch.optim.Optimizer) -> Monitor:
    """A monitor at work that probes whenever it can."""
    monitor = Monitor(net, optimizer, budget=1.0)
    monitor.start()
    return monitor


@times(12)
@given(drafts(), steps, batches, layouts, st.sampled_from(list(OPTIMIZERS)), st.integers(1, 4))
def test_a_monitored_training_is_the_one_without(
    draft: Draft, T: int, B: int, layout: str, optimizer: str, updates: int
) -> None:
    x = Net(draft).x(T, B, layout)
    bare = trained(draft, optimizer, x, updates, lambda *_: None)
    seen = trained(draft, optimizer, x, updates, watching)
    for one, other in zip(bare, seen, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one.nan_to_num(7.0), other.nan_to_num(7.0))


name = st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | name,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(name, inner, max_size=2),
    max_leaves=4,
)
points = st.tuples(st.integers(0, 9), floats).map(list)
site = st.fixed_dictionaries({
    "kind": st.sampled_from(["gru", "lstm"]), "steps": st.integers(1, 9), "horizon": st.none() | st.integers(0, 9),
    "rate": st.none() | st.floats(-9, 9), "credit": st.lists(points, max_size=3),
})  # fmt: skip
records = st.lists(st.dictionaries(name, site, max_size=3), max_size=4)
updates_seen = st.lists(st.tuples(floats, floats, floats, floats, floats), max_size=6)


@times(40)
@given(
    records,
    updates_seen,
    name,
    st.lists(name, max_size=3),
    st.dictionaries(name, json_values, max_size=3),
    st.booleans(),
)
def test_a_run_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, probes: list[dict[str, Any]], seen: list[Any], script: str,
    argv: list[str], options: dict[str, Any], ended: bool,
) -> None:  # fmt: skip
    path: Path = tmp_path_factory.mktemp("runs") / "a"
    log = Logbook(RunFolder(path), script=script, argv=argv, options=options)
    log.begin()
    log.saw([Update(n, *each) for n, each in enumerate(seen, 1)])
    written = [{"update": n, "sites": sites, "notes": []} for n, sites in enumerate(probes, 1)]
    for record in written:
        log.add(record, record["update"], 0.1)
    if ended:
        log.end("finished", 0)
    log.release()
    assert log.trouble is None
    run = open_run(path)
    assert run.damage == []
    expected = [finite(each) for each in written]
    assert run.records == expected
    if probes or ended:
        assert run.run["script"] == script
        assert run.run["argv"] == argv
        assert run.run["options"] == json.loads(json.dumps(finite(options)))
    told, tally = read_run(path)
    assert told == run.run
    latest = {name: digest for record in expected for name, digest in record["sites"].items()}
    assert {
        name: {**digest, "update": tally.sites[name]["update"]} for name, digest in latest.items()
    } == tally.sites
    if ended:
        assert run.run["state"] == "finished"
        assert sum(each["update"] - each["from"] + 1 for each in run.updates) == len(seen)
        for each in run.updates:
            losses = [
                loss for loss, *_ in seen[each["from"] - 1 : each["update"]] if math.isfinite(loss)
            ]
            low, mean, high = each["loss"]
            assert (low is None) == (not losses)
            assert not losses or low == pytest.approx(min(losses), rel=1e-4)
            assert not losses or high == pytest.approx(max(losses), rel=1e-4)
            assert not losses or mean is not None


@times(60)
@given(records)
def test_a_tally_holds_the_first_and_the_latest_of_each_site(probes: list[dict[str, Any]]) -> None:
    tally = Tally()
    for n, sites in enumerate(probes, 1):
        tally.add({"update": n, "sites": copy.deepcopy(sites)})
    assert tally.probes == sum(bool(sites) for sites in probes)
    for name in {name for sites in probes for name in sites}:
        where = [n for n, sites in enumerate(probes, 1) if name in sites]
        assert (tally.first[name]["update"], tally.sites[name]["update"]) == (where[0], where[-1])
        assert str({**probes[where[-1] - 1][name], "update": where[-1]}) == str(tally.sites[name])


@times(100)
@given(
    floats,
    floats,
    st.none() | st.integers(-2, 9),
    st.lists(words, max_size=2),
    st.lists(words, max_size=2),
)
def test_settings_of_a_run_are_in_range_or_refused(
    budget: float, threshold: float, lag: int | None, select: list[str], ignore: list[str]
) -> None:
    told: dict[str, Any] = {"budget": budget, "threshold": threshold, "lag": lag}
    told |= {"select": tuple(select), "ignore": tuple(ignore)}
    try:
        config = Config(**told)
    except ConfigError as error:
        refused(error)
        in_range = budget >= 0 and 0 < threshold < 1 and (lag is None or lag >= 1)
        assert not in_range or not all(map(known, select + ignore))
        return
    assert config.changed() == config
    assert Schedule(config.budget).due(0.0, 0, 0.0)
    assert codes(config.select, config.ignore) == [
        each.code for each in chosen(config.select, config.ignore)
    ]


def known(word: str) -> bool:
    """Whether it is a code, a name or a family."""
    names = {page(code).name for code in table()}
    return (
        word.lower() in names
        or word.upper() in table()
        or word.upper() in {code[:2] for code in table()}
    )


@times(100)
@given(words)
def test_a_rule_goes_by_its_code_or_its_name(word: str) -> None:
    names = {page(code).name for code in table()}
    if word.upper() not in table() and word.lower() not in names:
        with pytest.raises(UnknownRuleError, match="no rule"):
            page(word)
        return
    found = page(word)
    assert word.upper() == found.code or word.lower() == found.name
    assert rule(word).code == found.code
    assert codes((word,)) == [found.code]


@times(60)
@given(st.text(st.characters(exclude_characters="/\0"), max_size=300), st.floats(0, 4e9))
def test_a_folder_for_any_script_can_be_made(
    tmp_path_factory: pytest.TempPathFactory, script: str, now: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        path = default_folder(script, now)
        path.mkdir(parents=True)
        again = default_folder(script, now)
        assert again != path
        assert again.parent == path.parent == Path("runs").absolute()
