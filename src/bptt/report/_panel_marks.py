"""Small pictures of a row's height: a bar, and a line of sparks."""

import math
from collections.abc import Sequence

EIGHTHS = " ▏▎▍▌▋▊▉█"
SPARKS = "▁▂▃▄▅▆▇█"
ASCII_SPARKS = "_.-~=+*#"
REST, ASCII_REST = "·", "."
EACH = 16
"""Values of one bucket that are looked at: a picture of 60 cells needs no mean over a million."""


def bar(share: float, cells: int, *, ascii_only: bool = False) -> tuple[str, str]:
    """The filled and the empty part of a bar, together `cells` wide.

    What is above zero and below one is drawn so: never as an empty bar, never as a full one.

    Example:
        >>> bar(0.3, 6), bar(1.0, 6), bar(0.3, 6, ascii_only=True)
        (('█▊', '····'), ('██████', ''), ('##', '....'))
    """
    share = min(max(share, 0.0), 1.0)
    steps = 1 if ascii_only else 8
    whole = cells * steps
    filled = round(share * whole)
    if 0 < share < 1 and whole > 1:
        filled = min(max(filled, 1), whole - 1)
    full, part = divmod(filled, steps)
    done = "#" * full if ascii_only else "█" * full + (EIGHTHS[part] if part else "")
    return done, (ASCII_REST if ascii_only else REST) * (cells - len(done))


def sparks(values: Sequence[float], cells: int, *, ascii_only: bool = False) -> str:
    """`values` from the first to the last in at most `cells` characters, the least of them lowest.

    Each character is the mean of its part of the values; a part without a finite value is a blank.

    Example:
        >>> sparks([4.0, 3.0, 2.0, 2.0], 4), sparks([4.0, 3.0, 2.0, 2.0], 2, ascii_only=True)
        ('█▅▁▁', '#_')
        >>> sparks([1.0, float("nan"), 1.0], 3)
        '▁ ▁'
    """
    heights = thinned(values, cells)
    known = [each for each in heights if math.isfinite(each)]
    if not known:
        return " " * len(heights)
    marks = ASCII_SPARKS if ascii_only else SPARKS
    low, span = min(known), max(known) - min(known)
    top = len(marks) - 1
    return "".join(
        " "
        if not math.isfinite(each)
        else marks[round((each - low) / span * top) if span > 0 else 0]
        for each in heights
    )


def thinned(values: Sequence[float], points: int) -> list[float]:
    """Means of at most `points` parts of `values`; nan where a part has no finite value.

    Example:
        >>> thinned([1.0, 3.0, 5.0, 7.0], 2), thinned([1.0], 8)
        ([2.0, 6.0], [1.0])
    """
    n = len(values)  # once: a run that goes on makes it longer
    points = min(points, n)
    means = []
    for k in range(points):
        first, last = k * n // points, (k + 1) * n // points
        part = values[first : last : max((last - first) // EACH, 1)]
        known = [float(each) for each in part if math.isfinite(each)]
        means.append(sum(known) / len(known) if known else math.nan)
    return means
