"""Docstrings as mkdocstrings reads them: sessions of Python are set as code wherever they stand."""

import re
from typing import Any

import griffe

SESSION = re.compile(
    r"(?:^(?P<indent> *)>>> .*\n?(?:^(?P=indent)\S.*\n?|^(?P=indent) +\S.*\n?)*)", re.MULTILINE
)


def readable(text: str) -> str:
    """`Example:` under the name that the parser knows, and a fence around every session outside of it.

    Example:
        >>> print(readable("Adds.\\n\\n>>> 1 + 1\\n2"))
        Adds.
        <BLANKLINE>
        ```pycon
        >>> 1 + 1
        2
        ```
    """
    text = re.sub(r"^( *)Example:$", r"\1Examples:", text, flags=re.MULTILINE)
    return SESSION.sub(_fenced, text)


def _fenced(session: re.Match[str]) -> str:
    if session["indent"]:  # within a section, which the parser fences itself
        return session[0]
    return f"```pycon\n{session[0].rstrip()}\n```\n"


class Sessions(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)
