"""Pictures of spectra: eigenvalues in the complex plane with the unit circle, singular values by step, exponents."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bptt.flow.picture._axes import (
    QUIET,
    axes_or_new,
    chosen,
    gid,
    next_style,
    reference,
    say,
    short,
)

if TYPE_CHECKING:
    from bptt.flow.explain._exponents import Exponents
    from bptt.flow.explain._spectrum import SiteSpectrum

POINTS = 5000
"""Eigenvalues that a picture shows; of more, those of evenly spaced steps, and the legend says so."""


def plot_spectrum(spectrum: "SiteSpectrum", what: str, ax: Any) -> Any:
    """Draw one site's spectrum; see `SiteSpectrum.plot`."""
    chosen(what, tuple(PICTURES))
    axes = axes_or_new(ax)
    PICTURES[what](axes, spectrum)
    return axes


def _weights(axes: Any, spectrum: "SiteSpectrum") -> None:
    for gate, values in spectrum.gate_eigenvalues.items():
        block = "W_hh" if len(spectrum.gate_eigenvalues) == 1 else f"W_hh[{gate}]"
        label = f"{short(spectrum.name)} {block}: radius {spectrum.radius[gate]:.3g}"
        _scatter(axes, values, label, gid(f"weights {gate}", spectrum.name), size=14)
    _plane(axes)


def _jacobian(axes: Any, spectrum: "SiteSpectrum") -> None:
    every = spectrum.eigenvalues
    stride = max(1, math.ceil(every.numel() / POINTS))
    values = every[::stride].flatten()
    values = values[values.abs().isfinite()]
    steps = "steps" if stride == 1 else f"one of {stride} steps"
    radius = float(values.abs().max()) if len(values) else math.nan
    label = f"{short(spectrum.name)} J(t), {steps}: radius up to {radius:.3g}"
    _scatter(axes, values, label, gid("jacobian", spectrum.name), size=5)
    _plane(axes)


def _scatter(axes: Any, values: Tensor, label: str, name: str, size: int) -> None:
    style, found = next_style(axes), values.detach().cpu()
    x, y = found.real.double().numpy(), found.imag.double().numpy()
    look = {"facecolors": "none", "edgecolors": style.hue, "linewidths": 0.9}
    axes.scatter(x, y, size, marker=style.mark, label=label, gid=name, **look)


def _plane(axes: Any) -> None:
    """The unit circle, and one scale for both axes."""
    if not any(each.get_gid() == "unit circle" for each in axes.get_lines()):
        angle = torch.linspace(0, 2 * math.pi, 361, dtype=torch.float64)
        told = {"label": "unit circle", "gid": "unit circle"}
        axes.plot(angle.cos().numpy(), angle.sin().numpy(), color=QUIET, linewidth=0.8, **told)
    axes.set_aspect("equal", adjustable="datalim")
    say(axes, "Re λ", "Im λ")


def _singular(axes: Any, spectrum: "SiteSpectrum") -> None:
    values = spectrum.singular.detach().double().cpu().permute(1, 0, 2)  # [B, T, S]
    middle = values[..., values.shape[-1] // 2]
    style = next_style(axes)
    rows = {"largest": values[..., 0], "median": middle, "smallest": values[..., -1]}
    words = f"{short(spectrum.name)}: largest, median (dashed), smallest (dotted)"
    for (which, row), dash in zip(rows.items(), ("-", "--", ":"), strict=True):
        mean = row.log().nanmean(0).exp().numpy()  # over samples, as gains are
        told = gid("singular", spectrum.name) if which == "largest" else f"{which} {spectrum.name}"
        label = words if which == "largest" else None
        axes.plot(range(len(mean)), mean, color=style.hue, linestyle=dash, label=label, gid=told)
    reference(axes, 1.0)
    axes.set_yscale("log", nonpositive="mask")
    say(axes, "step t", "singular value of J(t), gain per step")


def plot_exponents(exponents: "Exponents", ax: Any) -> Any:
    """Draw a Lyapunov spectrum; see `Exponents.plot`."""
    axes = axes_or_new(ax)
    style, sites = next_style(axes), ", ".join(exponents.sites)
    values = exponents.exponents.double().cpu()
    label = f"{short(sites)}: largest {exponents.largest:.3g}"
    places = torch.arange(1, len(values) + 1).numpy()
    look = {"color": style.hue, "marker": style.mark, "linestyle": style.dash, "markersize": 4}
    axes.plot(places, values.numpy(), label=label, gid=gid("exponents", sites), **look)
    error = exponents.error.double().cpu()
    if bool((error.isfinite() & values.isfinite()).any()):
        low, high = (values - error).numpy(), (values + error).numpy()
        axes.vlines(places, low, high, color=style.hue, linewidth=0.8)
    reference(axes, 0.0)
    say(axes, "number j, the largest first", "Lyapunov exponent λ(j) (nats per step)")
    return axes


PICTURES: dict[str, Callable[[Any, Any], None]] = {
    "weights": _weights,
    "jacobian": _jacobian,
    "singular": _singular,
}
