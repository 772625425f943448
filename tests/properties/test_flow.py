"""What a flow keeps to, whatever the model, the shapes and the layout: exact, silent, ordered, written down."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

import bptt
from bptt.flow import Site, twin
from bptt.flow.walk._sequence import flip
from bptt.remedies import RemedyError, propose_length
from cases import Case, Run, cases
from properties.drawn import Draft, Net, drafts, laid_input, layouts, squared, times

pytestmark = pytest.mark.filterwarnings(
    "ignore:LSTM with projections is not supported with oneDNN",  # drawn on purpose
    "ignore:dropout option adds dropout after all but last",
)

LAYOUTS = layouts.filter(lambda each: "row" not in each)
few = times(25)


class Laid(Run):
    """A set-up whose input lies at other addresses."""

    layout = "plain"

    def input(self) -> Tensor | PackedSequence:
        """The input, strided."""
        return laid_input(super().input(), self.layout)


class Whole(nn.Module):
    """A set-up as a module that takes nothing and returns its loss."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.module, self.run = run.module, run.run

    def forward(self) -> Tensor:
        """The loss."""
        return self.run()


@few
@given(case=cases(), layout=LAYOUTS)
def test_measure_is_autograd_on_the_unrolled_loop(case: Case, layout: str) -> None:
    run = Laid(case)
    run.layout = layout
    flow = bptt.measure(Whole(run), (), loss=lambda value: value, keep="full")
    true_loss, sites = run.twin()
    assert flow.sites == [f"module.{name}" for name in sites]
    digits = 1e-12 if case.dtype is torch.float64 else 1e-5
    for site in flow:
        true = twin.gradients(true_loss, sites[site.name.removeprefix("module.")])["dh"]
        true = flip(true, run.lengths) if site.reverse else true
        assert site.dh is not None
        size = true.norm(dim=-1)
        error = (site.dh.double() - true).norm(dim=-1) / torch.where(size > 0, size, 1)
        assert float(error.max()) <= digits
        if run.lengths is not None:
            outside = torch.arange(site.steps).view(-1, 1) >= run.lengths
            assert not site.grad_h[outside].any()


def bits_of(net: nn.Module, x: Tensor) -> list[Any]:
    """All that a pass leaves behind."""
    return [p.detach().clone() for p in net.parameters()] + [
        x.grad, *(p.grad for p in net.parameters()), torch.get_rng_state(),
    ]  # fmt: skip


@few
@given(drafts(), st.integers(1, 6), st.integers(1, 3), layouts, st.booleans())
def test_a_probe_changes_no_bit(
    draft: Draft, steps: int, batch: int, layout: str, full: bool
) -> None:
    left = []
    for probed in (False, True):
        net = Net(draft)
        x = net.x(steps, batch, layout).requires_grad_()
        torch.manual_seed(draft.seed + 2)
        if probed:
            with bptt.probe(net, keep="full" if full else "norms"):
                loss = squared(net(x))
                loss.backward()
        else:
            loss = squared(net(x))
            loss.backward()
        left.append([loss.detach(), *bits_of(net, x)])
    for bare, seen in zip(*left, strict=True):
        assert (bare is None) == (seen is None)
        assert bare is None or torch.equal(bare, seen)


@few
@given(drafts(), st.integers(1, 6), st.integers(1, 3), layouts)
def test_measuring_leaves_no_trace(draft: Draft, steps: int, batch: int, layout: str) -> None:
    net = Net(draft)
    x = net.x(steps, batch, layout)
    squared(net(x)).backward()
    before = [None if each is None else each.clone() for each in bits_of(net, x)]
    bptt.measure(net, x, loss=squared)
    for was, now in zip(before, bits_of(net, x), strict=True):
        assert (was is None) == (now is None)
        assert was is None or torch.equal(was, now)


@few
@given(drafts(), st.integers(1, 12), st.integers(1, 3), layouts)
def test_what_a_site_says_is_in_order(draft: Draft, steps: int, batch: int, layout: str) -> None:
    net = Net(draft)
    flow = bptt.measure(net, net.x(steps, batch, layout), loss=squared)
    for site in flow:
        assert (site.steps, site.batch) == (steps, batch)
        assert site.lengths.tolist() == [steps] * batch
        assert site.credit is not None
        first = float(site.credit[0])
        assert math.isnan(first) or first == 1.0
        in_order(site)
        assert site.unreached is None or 0 <= site.unreached <= 1
        for norms in (site.grad_h, site.grad_state):
            assert bool((norms >= 0).all())
        assert bool((site.grad_state >= site.grad_h * (1 - 1e-6)).all())
        if site.theory is not None and site.theory.bound is not None:
            measured = site.credit[: site.lags + 1].double()
            assert bool((measured <= site.theory.bound[: len(measured)] * (1 + 1e-4) + 1e-30).all())
    assert flow.summary()
    assert len(flow.digest()) > 0


THRESHOLDS = [1e-9, 1e-6, 1e-3, 0.03, 0.5, 0.99, 1.0]


def in_order(site: Site) -> None:
    """The laws of horizon and discarded credit."""
    horizons = [site.horizon_at(threshold) for threshold in THRESHOLDS]
    shares = [site.discarded(length) for length in range(1, site.steps + 2)]
    if horizons[0] is None:
        assert set(horizons) == set(shares) == {None}
        return
    assert site.log_credit is not None
    if math.inf in site.log_credit:
        assert set(shares) == {None}
        shares = [0.0]
    reaches = [int(each) for each in horizons if each is not None]
    thrown = [float(each) for each in shares if each is not None]
    assert len(reaches) == len(horizons)
    assert len(thrown) == len(shares)
    assert sorted(reaches, reverse=True) == reaches
    assert 0 <= reaches[-1] <= reaches[0] <= site.lags
    assert all(0 <= share <= 1 for share in thrown)
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(thrown))
    assert thrown[site.lags :] == [0.0] * len(thrown[site.lags :])


@st.composite
def curves(draw: st.DrawFn) -> tuple[list[float], int]:
    """Logarithms of a credit curve: it falls, grows, under- and overflows; and how many lags were not measured."""
    inside = st.floats(-800, 800) | st.sampled_from([0.0, -math.inf, math.inf, math.log(1e-3)])
    curve = [0.0, *draw(st.lists(inside, max_size=12))]
    return curve, draw(st.integers(0, 3))


def made(curve: list[float], unmeasured: int, **fields: Any) -> Site:
    """A site with this curve."""
    T = len(curve) + unmeasured
    told: dict[str, Any] = {
        "name": "l0", "kind": "gru", "lengths": torch.tensor([T]), "grad_h": torch.ones(T, 1), "grad_c": None,
        "grad_state": torch.ones(T, 1), "grad_direct": None, "unreached": 0.5,
        "log_credit": torch.tensor([*curve, *[math.nan] * unmeasured], dtype=torch.float64),
    }  # fmt: skip
    return Site(**told | fields)


@times(150)
@given(curves(), st.sampled_from(THRESHOLDS), st.integers(1, 20))
def test_horizon_rate_and_discarded_are_their_definitions(
    drawn: tuple[list[float], int], threshold: float, length: int
) -> None:
    curve, unmeasured = drawn
    edge = math.log(threshold)
    assume(not any(1e-14 < abs(each - edge) < 1e-8 for each in curve))  # where rounding decides
    site = made(curve, unmeasured)
    in_order(site)
    mass = np.exp(np.array(curve, np.longdouble))  # wide enough for e^±800
    above = mass >= threshold * (1 - 1e-9)
    assert site.horizon_at(threshold) == next(
        (lag - 1 for lag, each in enumerate(above) if not each), len(curve) - 1
    )
    if math.inf not in curve:
        assert site.discarded(length) == pytest.approx(float(mass[length:].sum() / mass.sum()))
    finite = list(itertools.takewhile(math.isfinite, curve))
    if len(finite) > 1:
        slope = np.polyfit(range(len(finite)), finite, 1)[0]
        assert site.rate == pytest.approx(slope, abs=1e-9)
    else:
        assert site.rate is None


@times(150)
@given(curves(), st.floats(1e-6, 0.999))
def test_a_proposed_length_keeps_what_it_promises(
    drawn: tuple[list[float], int], lost: float
) -> None:
    site = made(*drawn)
    try:
        length = propose_length(site, lost)
    except RemedyError:
        return
    assert length >= 1
    share = site.discarded(length)
    # The curve goes on beyond what was measured, so that of the measured part less is lost.
    assert share is not None
    assert share <= lost + 1e-9


numbers = st.floats(width=32) | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e-45])


@times(50)
@given(st.lists(numbers, min_size=1, max_size=8), st.text(), st.text(), st.booleans(), st.data())
def test_what_is_saved_is_what_is_loaded(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[float],
    name: str,
    reason: str,
    wide: bool,
    data: st.DataObject,
) -> None:
    T = len(values)
    dtype = torch.float64 if wide else torch.float32
    norms = torch.tensor(values, dtype=dtype).view(T, 1)
    optional = st.sampled_from([None, norms.view(T, 1, 1).expand(T, 1, 2)])
    site = made(
        [0.0] * T, 0, name=name, grad_h=norms, grad_state=norms.t().contiguous().t(), dh=data.draw(optional),
        log_credit=norms.flatten(), reverse=data.draw(st.booleans()), cuts=data.draw(st.integers(0, 2**40)),
    )  # fmt: skip
    flow = bptt.Flow({name: site}, [bptt.flow.Note(name, reason)], data.draw(st.floats(1e-9, 1)))
    path = tmp_path_factory.mktemp("flow") / "flow.json"
    flow.save(path)
    equal(flow, bptt.load_flow(path))


def equal(flow: bptt.Flow, other: bptt.Flow) -> None:
    """Bit for bit, but for the statistics, which are not kept."""
    assert other.sites == flow.sites
    assert other.notes == flow.notes
    assert other.threshold == flow.threshold
    for one, two in zip(flow, other, strict=True):
        for field, value in vars(one).items():
            found = getattr(two, field)
            if isinstance(value, Tensor):
                assert found.dtype == value.dtype
                torch.testing.assert_close(found, value, rtol=0, atol=0, equal_nan=True)
            elif field != "statistics":
                assert found == value
        assert repr(other) == repr(flow)


@times(10)
@given(drafts(), st.integers(1, 6), layouts)
def test_a_measured_flow_is_loaded_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, draft: Draft, steps: int, layout: str
) -> None:
    net = Net(draft)
    flow = bptt.measure(net, net.x(steps, 2, layout), loss=squared, keep="full")
    path: Path = tmp_path_factory.mktemp("flow") / "flow.json"
    flow.save(path)
    equal(flow, bptt.load_flow(path))
    assert bptt.load_flow(path).summary()
