"""The probe against its brute-force twin: every step, every set-up."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings

import bptt
from bptt.flow import twin
from bptt.flow.walk._sequence import flip
from cases import Case, Run, cases

# torch's own remark on a set-up that the cases draw on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


def relative(ours: torch.Tensor, true: torch.Tensor) -> float:
    """Largest error of a step's gradient relative to its own norm, over all steps and samples."""
    size = true.norm(dim=-1)
    scale = torch.where(size > 0, size, 1)
    return float(((ours.double() - true).norm(dim=-1) / scale).max())


@pytest.fixture(scope="module", params=["kernels", "python"])
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both recurrences: the compiled kernels (where they are built) and the Python loop that they stand in for."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr("bptt.kernels.present", lambda: False)
        yield request.param


@settings(max_examples=80, deadline=None)
@given(case=cases())
def test_every_gradient_equals_the_unrolled_loop(engine: str, case: Case) -> None:
    run = Run(case)
    with bptt.probe(run.module, keep="full") as flow:
        loss = run.run()
        loss.backward()
    true_loss, sites = run.twin()
    tolerance = TOLERANCE[case.dtype]
    torch.testing.assert_close(loss.double(), true_loss.detach(), rtol=1e-4, atol=1e-4)
    assert list(flow.sites) == list(sites)
    for site in flow:
        true = twin.gradients(true_loss, sites[site.name])
        if site.reverse:
            true = {name: flip(grad, run.lengths) for name, grad in true.items()}
        assert site.dh is not None
        assert relative(site.dh, true["dh"]) <= tolerance
        torch.testing.assert_close(site.grad_h, true["dh"].norm(dim=-1), rtol=tolerance, atol=0)
        if case.kind == "lstm":
            assert site.dc is not None
            assert relative(site.dc, true["dc"]) <= tolerance
            costate = torch.cat([true["dh"], true["e"]], -1).norm(dim=-1)
            torch.testing.assert_close(site.grad_state, costate, rtol=tolerance, atol=0)


@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_credit_and_horizon_equal_the_twins(engine: str, case: Case) -> None:
    run = Run(case)
    with bptt.probe(run.module) as flow:
        run.run().backward()
    true_loss, sites = run.twin()
    for site in flow:
        curve = twin.credit(true_loss, sites[site.name], run.lengths)
        assert site.credit is not None
        rtol = 1e-9 if case.dtype == torch.float64 else 1e-3
        torch.testing.assert_close(site.credit, curve, rtol=rtol, atol=1e-30, equal_nan=True)
        if case.dtype == torch.float64:
            above = [lag for lag in range(site.lags + 1) if curve[: lag + 1].min() >= 1e-3]
            assert site.horizon == (above[-1] if above else None)
