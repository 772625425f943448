"""Pictures by matplotlib: the artists hold the numbers that were measured, and say which they are."""

import itertools
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

import bptt
from bptt import BpttError, Flow
from bptt.flow.picture import _axes
from bptt.flow.picture._axes import DASHES, HUES, Style


class Net(nn.Module):
    """An LSTM of two layers on a GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.GRU(3, 8)
        self.high = nn.LSTM(8, 6, num_layers=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.high(self.low(x)[0])[0]


def last(y: torch.Tensor) -> torch.Tensor:
    return y[-1].square().sum()


@pytest.fixture(scope="module")
def flow() -> Flow:
    torch.manual_seed(0)
    return bptt.measure(Net(), torch.randn(40, 3, 3), loss=last)


@pytest.fixture
def axes() -> Iterator[Any]:
    """Axes whose picture is drawn in the end: what cannot be drawn fails."""
    figure = Figure()
    yield figure.add_subplot()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()


def line(axes: Any, gid: str) -> Any:
    (found,) = [each for each in axes.get_lines() if each.get_gid() == gid]
    return found


def labels(axes: Any) -> list[str]:
    return [each.get_text() for each in axes.get_legend().get_texts()]


def test_credit_curves_with_threshold_and_horizon(flow: Flow, axes: Any) -> None:
    assert flow.plot(axes) is axes
    for site in flow:
        drawn, mark = line(axes, f"bptt credit {site.name}"), line(axes, f"horizon {site.name}")
        assert site.credit is not None
        assert drawn.get_ydata().tolist() == site.credit.double().tolist()
        assert drawn.get_xdata().tolist() == list(range(40))
        assert list(mark.get_xdata()) == [site.horizon]
        assert mark.get_ydata() == [float(site.credit[site.horizon])]
        assert mark.get_color() == drawn.get_color()
    assert list(line(axes, "level 0.001").get_ydata()) == [1e-3, 1e-3]
    assert labels(axes) == [*(f"{site.name}: {site.reach()}" for site in flow), "threshold 0.001"]
    assert (axes.get_yscale(), axes.get_xlabel()) == ("log", "lag k (steps back)")
    bottom, top = axes.get_ylim()
    assert 0 < bottom <= 1e-3
    assert top > 1


def test_what_is_far_below_the_threshold_is_out_of_sight(axes: Any) -> None:
    net = nn.RNN(2, 4)
    with torch.no_grad():
        net.all_weights[0][1].mul_(1e-3)
    site = bptt.measure(net, torch.randn(30, 1, 2), loss=lambda y: last(y[0]))["l0"]
    site.plot(axes)
    assert site.credit is not None
    assert site.credit.min() < 1e-30
    assert axes.get_ylim()[0] == pytest.approx(0.7e-6)


def test_a_second_flow_stands_beside_the_first(flow: Flow, axes: Any) -> None:
    axes.plot([0, 1], [1e-9, 1.0])  # the user's own line, which stays in sight
    flow.plot(axes, site="low.l0")
    flow.plot(axes, site="high.l1")
    first, second = (line(axes, f"bptt credit {name}") for name in ("low.l0", "high.l1"))
    assert first.get_color() != second.get_color()
    assert first.get_linestyle() != second.get_linestyle()
    assert labels(axes).count("threshold 0.001") == 1
    assert axes.get_ylim()[0] < 1e-9


def test_gradients_are_means_over_the_samples_that_have_the_step(axes: Any) -> None:
    net, lengths = nn.LSTM(2, 4), torch.tensor([9, 5])
    x = nn.utils.rnn.pack_padded_sequence(torch.randn(9, 2, 2), lengths)
    site = bptt.measure(net, x, loss=lambda y: y[0].data.sum())["l0"]
    site.plot(axes, what="gradient")
    total = line(axes, "bptt gradient l0").get_ydata()
    assert total[8] == pytest.approx(float(site.grad_h[8, 0]))  # not half of it
    np.testing.assert_allclose(total[:5], site.grad_h[:5].double().mean(1))
    assert site.grad_c is not None
    assert site.grad_direct is not None
    assert line(axes, "dL/dc l0").get_ydata()[3] == pytest.approx(float(site.grad_c[3].mean()))
    assert line(axes, "direct l0").get_ydata()[8] == pytest.approx(float(site.grad_direct[8, 0]))
    assert labels(axes) == ["l0: dL/dh", "l0: dL/dc", "l0: direct"]


def test_factors_add_up(flow: Flow, axes: Any) -> None:
    flow.plot(axes, what="attribution", site="low.l0")
    parts = [line(axes, f"bptt {cause} low.l0") for cause in ("weights", "slope", "gates")]
    whole = line(axes, "total low.l0")
    np.testing.assert_allclose(
        sum(each.get_ydata() for each in parts), whole.get_ydata(), rtol=1e-6
    )
    assert whole.get_xdata().tolist() == list(range(1, 40))
    split = flow["low.l0"].attribution
    assert split is not None
    assert f"together: ×{split.per_step()['total']:.3g} per step" in labels(axes)


def test_a_cell_without_gates_has_two_factors(axes: Any) -> None:
    net = nn.RNN(2, 4)
    site = bptt.measure(net, torch.randn(9, 2, 2), loss=lambda y: last(y[0]))["l0"]
    site.plot(axes, what="attribution")
    assert [each.split(":")[0] for each in labels(axes)] == ["weights", "slope", "together"]


def test_eigenvalues_of_the_weights_and_the_unit_circle(axes: Any) -> None:
    net = nn.GRU(2, 5)
    found = bptt.spectrum(net, torch.randn(7, 2, 2))
    assert found.plot(axes) is axes
    for n, gate in enumerate("rzn"):
        (dots,) = [each for each in axes.collections if each.get_gid() == f"bptt weights {gate} l0"]
        block = net.all_weights[0][1].detach().double()[5 * n : 5 * n + 5]
        expected = sorted(torch.linalg.eigvals(block).tolist(), key=lambda z: (z.real, z.imag))
        drawn = sorted(
            (complex(*each) for each in dots.get_offsets()), key=lambda z: (z.real, z.imag)
        )
        assert drawn == pytest.approx(expected)
    circle = line(axes, "unit circle")
    np.testing.assert_allclose(np.hypot(circle.get_xdata(), circle.get_ydata()), 1)
    assert axes.get_aspect() == 1.0
    assert f"l0 W_hh[r]: radius {found['l0'].radius['r']:.3g}" in labels(axes)


def test_eigenvalues_of_the_jacobians(axes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = bptt.spectrum(nn.RNN(2, 5), torch.randn(7, 2, 2))
    found["l0"].plot(axes, what="jacobian")
    assert len(axes.collections[0].get_offsets()) == 7 * 2 * 5
    radius = float(found["l0"].jacobian_radius.max())
    assert labels(axes)[0] == f"l0 J(t), steps: radius up to {radius:.3g}"
    monkeypatch.setattr("bptt.flow.picture._spectra.POINTS", 20)
    found["l0"].plot(axes, what="jacobian")
    assert len(axes.collections[1].get_offsets()) == 2 * 2 * 5  # steps 0 and 4
    assert "one of 4 steps" in labels(axes)[1]


def test_singular_values_by_step(axes: Any) -> None:
    found = bptt.spectrum(nn.RNN(2, 5), torch.randn(7, 2, 2))
    found.plot(axes, what="singular")
    values = found["l0"].singular.double()
    for which, n in (("bptt singular", 0), ("median", 2), ("smallest", 4)):
        expected = values[..., n].log().mean(1).exp()
        np.testing.assert_allclose(line(axes, f"{which} l0").get_ydata(), expected)
    assert list(line(axes, "level 1").get_ydata()) == [1, 1]


def test_lyapunov_exponents_with_their_errors(axes: Any) -> None:
    found = bptt.lyapunov(nn.RNN(2, 5), torch.randn(60, 3, 2), k=4)
    found.plot(axes)
    exponents = found["l0"]
    assert line(axes, "bptt exponents l0").get_ydata().tolist() == exponents.exponents.tolist()
    (bars,) = axes.collections
    low, high = bars.get_segments()[0][:, 1]
    assert high - low == pytest.approx(2 * float(exponents.error[0]))


def test_without_axes_pyplot_makes_them(flow: Flow) -> None:
    import matplotlib.pyplot as plt

    with plt.rc_context({"backend": "agg"}):
        plt.switch_backend("agg")
        axes = flow["low.l0"].plot()
        assert axes is plt.gca()
        plt.close("all")


def test_without_matplotlib(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_axes, "find_spec", lambda name: None)
    with pytest.raises(BpttError, match=re.escape("pip install 'bptt[plot]'")):
        flow.plot()


def test_what_cannot_be_drawn(flow: Flow, axes: Any) -> None:
    with pytest.raises(
        BpttError, match="what='heat': expected one of credit, gradient, attribution"
    ):
        flow.plot(axes, what="heat")
    with pytest.raises(BpttError, match=r"drawn for one site: give site=, one of low.l0, high.l0"):
        flow.plot(axes, what="attribution")
    with pytest.raises(BpttError, match="no site 'l7'"):
        flow.plot(axes, site="l7")
    with pytest.raises(BpttError, match="ax is a int, expected axes of matplotlib"):
        flow.plot(3)
    with pytest.raises(BpttError, match="no site was measured"):
        Flow().plot(axes)
    flow = bptt.measure(nn.RNN(2, 4), torch.randn(1, 2, 2), loss=lambda y: last(y[0]))
    with pytest.raises(BpttError, match="l0 has no attribution"):
        flow.plot(axes, what="attribution")


def test_a_flow_from_a_file_is_drawn_the_same(flow: Flow, axes: Any, tmp_path: Path) -> None:
    flow.save(tmp_path / "flow.json")
    bptt.load_flow(tmp_path / "flow.json").plot(axes)
    for site in flow:
        assert site.credit is not None
        drawn = line(axes, f"bptt credit {site.name}").get_ydata()
        assert drawn.tolist() == site.credit.double().tolist()


def luminance(hue: str) -> float:
    """Relative luminance of WCAG 2.2."""
    parts = [int(hue[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("ground", ["#ffffff", "#111111"])
@pytest.mark.parametrize("hue", HUES)
def test_hues_stand_out_in_light_and_in_dark(hue: str, ground: str) -> None:
    low, high = sorted((luminance(hue), luminance(ground)))
    assert (high + 0.05) / (low + 0.05) >= 3


def test_neighbours_differ_without_colours() -> None:
    styles = [Style.of(n) for n in range(len(HUES) * len(DASHES))]
    assert all(a.dash != b.dash and a.mark != b.mark for a, b in itertools.pairwise(styles))
    assert len(set(styles)) == len(styles)
