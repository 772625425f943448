"""Pictures of sites: the credit curve by lag, gradients by step, and what each factor does to them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bptt._errors import BpttError
from bptt.flow.picture._axes import (
    QUIET,
    Style,
    axes_or_new,
    chosen,
    gid,
    next_style,
    reference,
    say,
    short,
)

if TYPE_CHECKING:
    from bptt.flow._flow import Site

FLOOR = 1e-3
"""How far below the threshold a credit curve is shown, as a factor: what is smaller has no meaning for learning."""

STEM: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.6, "gid": "stem"}


def plot(sites: "Sequence[Site]", what: str, ax: Any) -> Any:
    """Draw sites into one picture.

    Args:
        sites: T steps each.
        what: `credit`, `gradient` or `attribution`; see `Flow.plot`.
        ax: matplotlib's axes; None makes new ones.

    Returns:
        The axes.

    Raises:
        BpttError: no matplotlib, no such picture, or nothing that it could show.
    """
    chosen(what, tuple(PICTURES))
    if not sites:
        raise BpttError("no site was measured, so there is nothing to draw; flow.notes says why")
    axes = axes_or_new(ax)
    PICTURES[what](axes, sites)
    return axes


def _credit(axes: Any, sites: "Sequence[Site]") -> None:
    floor = min(site.threshold for site in sites) * FLOOR
    for site in sites:
        style = next_style(axes)
        told = {"label": f"{short(site.name)}: {site.reach()}", "gid": gid("credit", site.name)}
        look = {"color": style.hue, "linestyle": style.dash}
        if site.credit is None:
            axes.plot([], [], **look, **told)
            continue
        curve = site.credit[: site.lags + 1].double().cpu()
        axes.plot(torch.arange(len(curve)).numpy(), curve.numpy(), **look, **told)
        horizon = site.horizon
        if horizon is not None:
            # The last lag that is reached; a stem leads down to where it is read.
            at = float(curve[horizon])
            axes.plot([horizon] * 2, [floor * FLOOR, at], color=style.hue, **STEM)
            mark = {"color": style.hue, "marker": style.mark, "linestyle": "none"}
            axes.plot([horizon], [at], gid=f"horizon {site.name}", **mark)
        reference(axes, site.threshold, f"threshold {site.threshold:g}")
    axes.set_yscale("log", nonpositive="mask")
    axes.set_ylim(*_limits(axes, floor))
    say(axes, "lag k (steps back)", "credit ‖v(τ−k)‖ / ‖v(τ)‖, a share of 1")


def _limits(axes: Any, floor: float) -> tuple[float, float]:
    """What is on the axes, without the depths of credit curves."""
    low = high = 1.0
    for line in axes.get_lines():
        values = torch.as_tensor(line.get_ydata(), dtype=torch.float64)
        values = values[(values > 0) & values.isfinite()]
        if len(values):
            own = str(line.get_gid()).startswith(("bptt credit", "stem"))
            lowest = float(values.min())
            low = min(low, max(lowest, floor) if own else lowest)
            high = max(high, float(values.max()))
    return low * 0.7, high * 1.5


def _gradient(axes: Any, sites: "Sequence[Site]") -> None:
    for site in sites:
        style, steps = next_style(axes), torch.arange(site.steps).numpy()
        name = short(site.name)
        rows = {"h": site.grad_h, "c": site.grad_c, "direct": site.grad_direct}
        for (key, norms), words in zip(rows.items(), ("dL/dh", "dL/dc", "direct"), strict=True):
            if norms is None:
                continue
            mean = mean_inside(norms, site.lengths).numpy()
            marks = {"marker": style.mark, "linestyle": "none", "markersize": 4}
            look = {"h": {"linestyle": "-"}, "c": {"linestyle": "--"}, "direct": marks}[key]
            # Of one site one hue: only its first series counts as a new one.
            told = gid("gradient", site.name) if key == "h" else f"{words} {site.name}"
            axes.plot(steps, mean, color=style.hue, label=f"{name}: {words}", gid=told, **look)
    axes.set_yscale("log", nonpositive="mask")
    say(axes, "step t", "gradient norm, mean over samples")


def mean_inside(norms: Tensor, lengths: Tensor) -> Tensor:
    """`[T]` mean over the samples that have a step t.

    Args:
        norms: `[T, B]`.
        lengths: `[B]`.

    Example:
        >>> mean_inside(torch.tensor([[1.0, 3.0], [5.0, 0.0]]), torch.tensor([2, 1])).tolist()
        [2.0, 5.0]
    """
    inside = torch.arange(len(norms)).unsqueeze(1) < lengths.cpu()
    found = torch.where(inside, norms.detach().double().cpu(), 0.0)
    return found.sum(1) / inside.sum(1)


def _attribution(axes: Any, sites: "Sequence[Site]") -> None:
    if len(sites) > 1:
        names = ", ".join(site.name for site in sites)
        raise BpttError(f"an attribution is drawn for one site: give site=, one of {names}")
    (site,) = sites
    split = site.attribution
    if split is None or site.steps < 2:
        raise BpttError(
            f"{site.name} has no attribution: it is measured for torch's own cells over 2 steps and more, by "
            "bptt.probe and bptt.measure"
        )
    rows = {"weights": split.weights, "slope": split.slope, "gates": split.gates}
    if not split.by_gate:
        del rows["gates"]  # 0 at every step of a cell that has none
    mean = split.per_step()
    steps = torch.arange(1, site.steps).numpy()
    axes.plot(
        steps,
        split.total.double().numpy(),
        color=QUIET,
        linewidth=2.5,
        label=f"together: ×{mean['total']:.3g} per step",
        gid=f"total {site.name}",
    )
    for n, (cause, row) in enumerate(rows.items()):
        style = Style.of(n)
        told = {"label": f"{cause}: ×{mean[cause]:.3g}", "gid": gid(cause, site.name)}
        axes.plot(steps, row.double().numpy(), color=style.hue, linestyle=style.dash, **told)
    reference(axes, 0.0)
    axes.set_title(short(site.name), fontsize="medium")
    say(axes, "step t of the recurrence", "log gain of J(t)ᵀ (nats per step)")


Picture = Callable[[Any, "Sequence[Site]"], None]
PICTURES: dict[str, Picture] = {
    "credit": _credit,
    "gradient": _gradient,
    "attribution": _attribution,
}
