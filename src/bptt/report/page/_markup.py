"""HTML that cannot be broken by what is written into it: text is escaped where it enters, and names are cleaned.

A page is built from nested calls of `tag`. Only `Markup`, which `tag` itself makes, goes in unescaped; a plain string
is text, wherever it came from.
"""

import html
import json
import math
from collections.abc import Iterable
from typing import Any

from bptt.report._clean import clean as harmless

VOID = {"meta", "link", "br", "hr", "img", "input", "col"}
NAME = 64
"""Characters of a name that are shown; of a longer one the middle is left out."""
SENTENCE = 1200


def clean(text: object, limit: int = NAME) -> str:
    r"""A name from somewhere else, as one line of printable characters.

    Example:
        >>> clean("a\u202eb\n")
        'a?b?'
    """
    return harmless(text, limit)


class Markup(str):
    """A string that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element. Children are escaped unless they are `Markup`; None and empty strings vanish.

    Args:
        name: of the element.
        children: text, markup, numbers or lists of them.
        attributes: `class_` is `class`; `aria_label` is `aria-label`; None and False leave it out, True leaves it bare.

    Example:
        >>> tag("p", "1 < 2", tag("b", "!"), class_="note", hidden=False)
        '<p class="note">1 &lt; 2<b>!</b></p>'
    """
    shown = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Markup:
    """Children one after the other, each escaped unless it is markup.

    Example:
        >>> join(["a & b", None, [tag("br"), 3]])
        'a &amp; b<br>3'
    """
    parts = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, (list, tuple)):
            parts.append(join(child))
        elif isinstance(child, Markup):
            parts.append(child)
        else:
            parts.append(html.escape(str(child), quote=False))
    return Markup("".join(parts))


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    key = key.rstrip("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{html.escape(str(value))}"'


def name(text: object, limit: int = NAME) -> Markup:
    """A cleaned name in an element that keeps its direction to itself; what was cut is in the title.

    Example:
        >>> name("rnn.l0")
        '<bdi class="name">rnn.l0</bdi>'
    """
    shown, more = clean(text, limit), clean(text, 400)
    return tag("bdi", shown, class_="name", title=more if more != shown else None)


def data_script(data: Any) -> Markup:
    r"""JSON in a script element, where neither `</script>` nor `<!--` may appear: `<`, `>` and `&` are escaped.

    Example:
        >>> data_script({"name": "</script>"})
        '<script type="application/json" id="data">{"name":"\\u003c/script\\u003e"}</script>'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(f'<script type="application/json" id="data">{text}</script>')


def rounded(value: Any) -> float | None:
    """A number to four significant digits, as the page holds and shows it; None for anything that is no number.

    Example:
        >>> rounded(0.1234567), rounded(float("nan")), rounded("7")
        (0.1235, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(f"{value:.4g}") if math.isfinite(value) else None


def all_rounded(values: Iterable[Any]) -> list[float | None]:
    """`rounded` of each.

    Example:
        >>> all_rounded([1, 0.1234567, None, float("inf"), True])
        [1.0, 0.1235, None, None, None]
    """
    return [
        float(f"{v:.4g}") if (type(v) is float or type(v) is int) and math.isfinite(v) else None
        for v in values
    ]


def number(value: Any) -> str:
    """A number in at most four significant digits, the same as the page's script writes it.

    Example:
        >>> [number(x) for x in (0, 14, 0.63661977, 12345.6, 3.8178e-4, -1.5e7, None)]
        ['0', '14', '0.6366', '12350', '3.818e-4', '-1.5e7', '–']
    """
    value = rounded(value)
    if value is None:
        return "–"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return repr(value).removesuffix(".0")
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def count(value: Any) -> str:
    """A whole number with its thousands set off.

    Example:
        >>> count(100000), count(None)
        ('100,000', '–')
    """
    return f"{value:,}" if isinstance(value, int) else "–"
