"""What all pictures share: axes, imported when one is asked for, and marks that are told apart without colours.

A line differs from the one before it in hue, dash and mark. The hues stand out by a contrast of 3 and more from white
and from near-black, so that a drawing without a ground of its own reads in light and in dark notebooks. They begin as
those of Okabe and Ito do.

Source: Okabe, Ito, "Color universal design", 2008; WCAG 2.2, success criterion 1.4.11.
"""

from importlib.util import find_spec
from typing import Any, NamedTuple

from bptt._errors import BpttError

HUES = ("#0072B2", "#D55E00", "#009E73", "#C065A0", "#9A7D0A", "#7A7A7A")
DASHES = ("-", "--", "-.", ":")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
QUIET = "#7A7A7A"
"""Of what is not data: thresholds, the unit circle, the line at zero."""
MISSING = "matplotlib is not installed, and pictures are drawn with it: pip install 'bptt[plot]'"
NAME = 60
"""Letters of a name that a legend shows."""


class Style(NamedTuple):
    """How the n-th series of a picture looks."""

    hue: str
    dash: str
    mark: str

    @classmethod
    def of(cls, n: int) -> "Style":
        """Of the n-th series; hues come round after 6, dashes after 4, marks after 7.

        Example:
            >>> Style.of(0), Style.of(6)
            (Style(hue='#0072B2', dash='-', mark='o'), Style(hue='#0072B2', dash='-.', mark='X'))
        """
        return cls(HUES[n % len(HUES)], DASHES[n % len(DASHES)], MARKS[n % len(MARKS)])


def axes_or_new(ax: Any) -> Any:
    """The axes that were given, or those of a new figure.

    Args:
        ax: matplotlib's axes, or None.

    Raises:
        BpttError: matplotlib is not installed, or `ax` is something else.
    """
    if ax is None:
        if find_spec("matplotlib") is None:
            raise BpttError(MISSING)
        from matplotlib import pyplot as plt

        return plt.subplots(layout="constrained")[1]
    if not all(hasattr(ax, each) for each in ("plot", "set_yscale", "get_lines")):
        raise BpttError(
            f"ax is a {type(ax).__name__}, expected axes of matplotlib, as plt.subplots() gives them, "
            "or None for new ones"
        )
    return ax


def next_style(axes: Any) -> Style:
    """Of the series that comes next on these axes, whoever drew those before it."""
    drawn = [*axes.get_lines(), *axes.collections]
    return Style.of(sum(str(each.get_gid()).startswith("bptt ") for each in drawn))


def gid(what: str, name: str) -> str:
    """The identity of a series, which the axes' artists and an SVG file carry."""
    return f"bptt {what} {name}"


def reference(axes: Any, value: float, label: str = "") -> None:
    """A thin level line, once, however often it is asked for."""
    name = f"level {value:g}"
    if any(each.get_gid() == name for each in axes.get_lines()):
        return
    axes.axhline(value, color=QUIET, linewidth=0.8, linestyle=":", label=label or None, gid=name)


def say(axes: Any, x: str, y: str) -> None:
    """Labels with their units, and the legend."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    labelled = sorted(
        zip(*axes.get_legend_handles_labels(), strict=True),
        key=lambda each: (
            not str(each[0].get_gid()).startswith("bptt ")
        ),  # what is not data comes last
    )
    handles, labels = ([each[n] for each in labelled] for n in (0, 1))
    axes.legend(handles, labels, fontsize="small", framealpha=0.8, edgecolor="none")


def short(name: str) -> str:
    """A name as a legend can show it; matplotlib takes what is between two dollars for mathematics.

    Example:
        >>> short("a$b"), len(short("x" * 10_000))
        ('a\\\\$b', 60)
    """
    shown = printable(name)
    if len(shown) > NAME:
        shown = f"{shown[: NAME // 2]}…{shown[-NAME // 2 + 1 :]}"
    return shown.replace("$", r"\$")


def printable(words: str) -> str:
    """The words with a mark in the place of each control character, also of those that turn the direction of text.

    Example:
        >>> printable("a\\x1b[31m")
        'a�[31m'
    """
    return "".join(each if each.isprintable() else "�" for each in words)


def chosen(what: str, pictures: tuple[str, ...]) -> None:
    """Refuse a picture that does not exist.

    Raises:
        BpttError: with the names of those that do.

    Example:
        >>> chosen("heat", ("credit", "gradient"))
        Traceback (most recent call last):
        bptt._errors.BpttError: what='heat': expected one of credit, gradient
    """
    if what not in pictures:
        raise BpttError(f"what={what!r}: expected one of {', '.join(pictures)}")
