"""Spectra against dense twins: numpy on Jacobians by autograd, and high-precision products."""

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import bptt
from bptt.flow import SiteSpectrum
from bptt.flow.explain import _spectrum
from bptt.flow.twin_jacobian import stack_jacobians
from dynamics import MODULES, lively, own_blocks

# torch's own remark on a set-up that the tests use on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

TOLERANCE = 1e-10


def close(ours: Tensor, true: np.ndarray, tolerance: float = TOLERANCE) -> None:
    torch.testing.assert_close(ours, torch.as_tensor(true.copy()), rtol=tolerance, atol=tolerance)


def exact_product(jacobians: np.ndarray) -> np.ndarray:
    """Log singular values of a product of `[T, S, S]`, largest first, in 400 digits."""
    with mpmath.workdps(400):
        product = mpmath.eye(jacobians.shape[-1])
        for jacobian in jacobians:
            product = mpmath.matrix(jacobian.tolist()) * product
        values = mpmath.svd_r(product, compute_uv=False)
        return np.array([float(mpmath.log(value)) for value in values])


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", MODULES)
def test_every_site_equals_its_dense_twin(kind: str, layers: int) -> None:
    module, x = lively(kind, layers), torch.randn(7, 2, 3).double()
    found, dense = bptt.spectrum(module, x), stack_jacobians(module, x)
    assert found.sites == [f"l{n}" for n in range(layers)]
    for site, block in zip(found.values(), own_blocks(module), strict=True):
        own = dense[..., block, block]
        close(site.singular, np.linalg.svd(own, compute_uv=False))
        close(site.jacobian_radius, np.abs(np.linalg.eigvals(own)).max(-1))
        sizes = np.sort(np.abs(np.linalg.eigvals(own)), -1)
        close(site.eigenvalues.abs().sort(-1).values, sizes, 1e-8)
        if kind != "rnn_relu":  # a unit that is off leaves no condition number to compare
            condition = np.linalg.cond(own)
            torch.testing.assert_close(
                site.condition, torch.as_tensor(condition), rtol=1e-6, atol=0
            )


@pytest.mark.parametrize("kind", MODULES)
def test_radius_and_norm_of_each_gate(kind: str) -> None:
    module = lively(kind)
    site = bptt.spectrum(module, torch.randn(3, 1, 3).double())["l0"]
    assert isinstance(site, SiteSpectrum)
    blocks = (
        module.get_parameter("weight_hh_l0").detach().numpy().reshape(-1, 6, module.proj_size or 6)
    )
    if module.proj_size:
        blocks = blocks @ module.get_parameter("weight_hr_l0").detach().numpy()
    assert len(site.radius) == len(blocks)
    for n, gate in enumerate(site.radius):
        radius = np.abs(np.linalg.eigvals(blocks[n])).max()
        assert site.radius[gate] == pytest.approx(radius, rel=TOLERANCE)
        assert site.norm[gate] == pytest.approx(np.linalg.norm(blocks[n], 2), rel=TOLERANCE)


@pytest.mark.parametrize("kind", [kind for kind in MODULES if kind != "rnn_relu"])
@pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 7), (0, 40)])
def test_products_keep_every_digit(kind: str, start: int, stop: int) -> None:
    module, x = lively(kind), torch.randn(40, 2, 3).double()
    dense = stack_jacobians(module, x)
    ours = bptt.spectrum(module, x)["l0"].product(start, stop)
    for sample in range(2):
        true = exact_product(dense[start:stop, sample])
        # The logarithm of each singular value, of the smallest too: e^-200 and less for the longest window.
        close(ours[sample], true, TOLERANCE)


def test_a_long_product_would_be_lost_to_rounding() -> None:
    module, x = lively("lstm"), torch.randn(40, 1, 3).double()
    dense = stack_jacobians(module, x)[:, 0]
    raw = np.linalg.multi_dot(dense[::-1])
    ours = bptt.spectrum(module, x)["l0"].product(0, 40)[0]
    assert float(ours[-1]) < -60
    assert abs(np.log(np.linalg.svd(raw, compute_uv=False)[-1]) - float(ours[-1])) > 1


def test_reverse_and_packed_sites_are_in_input_time() -> None:
    module = nn.GRU(3, 5, bidirectional=True).double()
    x, lengths = torch.randn(6, 2, 3).double(), torch.tensor([6, 4])
    packed = pack_padded_sequence(x, lengths)
    found = bptt.spectrum(module, packed)
    alone = bptt.spectrum(module, x[:4, 1:])
    for name in found:
        torch.testing.assert_close(found[name].singular[:4, 1], alone[name].singular[:, 0])
        assert bool(found[name].singular[4:, 1].isnan().all())
        product = found[name].product(0, 4)
        torch.testing.assert_close(product[1:], alone[name].product(0, 4))
        assert bool(found[name].product(2, 6)[1].isnan().all())
        torch.testing.assert_close(
            found[name].product(2, 3), found[name].singular[2].log(), rtol=1e-9, atol=1e-9
        )


def test_a_loop_over_a_cell_is_one_sequence_with_or_without_gradient() -> None:
    class Loop(nn.Module):
        def __init__(self, detach: bool) -> None:
            super().__init__()
            self.cell, self.detach = nn.LSTMCell(3, 5).double(), detach

        def forward(self, x: Tensor) -> Tensor:
            state = None
            for x_t in x:
                state = self.cell(x_t, state)
                state = tuple(part.detach() for part in state) if self.detach else state
            assert state is not None
            return state[0]

    x, plain, cut = torch.randn(9, 2, 3).double(), Loop(False), Loop(True)
    cut.load_state_dict(plain.state_dict())
    found = [bptt.spectrum(loop, x)["cell"].singular for loop in (plain, cut)]
    assert found[0].shape == (9, 2, 10)
    torch.testing.assert_close(found[0], found[1])


def test_nothing_changes() -> None:
    module = nn.Sequential(nn.BatchNorm1d(4), nn.LSTM(4, 5, 2, dropout=0.5)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    random = torch.get_rng_state()
    bptt.spectrum(module, torch.randn(6, 4))
    torch.set_rng_state(random)  # torch.randn above drew; what spectrum draws must not show
    bptt.spectrum(module, torch.ones(6, 4))
    assert torch.equal(torch.get_rng_state(), random)
    after = module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in module.parameters())


def test_pieces_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = lively("lstm", 2), torch.randn(9, 3, 3).double()
    whole = bptt.spectrum(module, x)["l1"].singular
    monkeypatch.setattr(_spectrum, "PIECE_BYTES", 12 * 12 * 8 * 2)
    largest = 0

    def counted(jacobian: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, len(jacobian))
        return torch.linalg.svdvals(jacobian)

    site = bptt.spectrum(module, x)["l1"]
    torch.testing.assert_close(site._each_step(counted), whole)
    assert largest == 2


def test_states_that_are_not_finite_are_nan_and_no_product_crosses_them() -> None:
    module, x = nn.GRU(3, 4).double(), torch.randn(8, 2, 3).double()
    x[5, 0] = float("nan")
    site = bptt.spectrum(module, x)["l0"]
    assert bool(site.singular[5:, 0].isnan().all())
    assert bool(site.singular[:5].isfinite().all())
    assert bool(site.singular[:, 1].isfinite().all())
    with pytest.raises(bptt.UnmeasurableError, match="step 7 is not finite"):
        site.product(0, 8)


class OwnCell(nn.Module):
    """A cell whose Jacobian nobody knows."""

    bptt_state = {"h": 0}  # noqa: RUF012

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """One step."""
        return torch.tanh(h)


def test_a_cell_of_the_users_own_is_named() -> None:
    for measure in (bptt.spectrum, bptt.lyapunov):
        with pytest.raises(
            bptt.NoRecurrenceError, match="OwnCell in OwnCell is a cell of your own"
        ):
            measure(OwnCell(), torch.zeros(2, 3))


def test_bad_input_is_named() -> None:
    rnn, x = nn.RNN(3, 4), torch.randn(5, 2, 3)
    with pytest.raises(bptt.NoRecurrenceError, match="no recurrent module was called in Linear"):
        bptt.spectrum(nn.Linear(3, 4), x)
    with pytest.raises(bptt.BpttError, match="lengths has 3 entries"):
        bptt.spectrum(rnn, x, lengths=torch.tensor([5, 4, 3]))
    found = bptt.spectrum(rnn, x)
    with pytest.raises(bptt.BpttError, match="no site 'l1'; the sites are l0"):
        found["l1"]
    for start, stop in ((2, 2), (-1, 2), (0, 6)):
        with pytest.raises(bptt.BpttError, match="expected 0 <= start < stop <= 5"):
            found["l0"].product(start, stop)
