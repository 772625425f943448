"""What a script may have put into a name, made harmless: no text reaches a terminal but through here.

Names of scripts, sites and modules, messages of findings and paths come from programs and disks that are not ours. They
may hold escape sequences, line ends, marks that turn the direction of writing, stacks of accents, or ten thousand
characters.
"""

from rich.cells import cell_len, set_cell_size

NAME, SENTENCE = 120, 600
"""Characters left of a name, and of a sentence."""
STACKED = 2
"""Characters without a width of their own (accents) that may stand on one that has it."""
ASCII = str.maketrans(
    {
        "×": "x",
        "·": "-",
        "│": "|",
        "┼": "+",
        "—": "-",
        "─": "-",
        "…": "~",
        "→": ">",
        "≠": "#",
        "●": "*",
    }
)


def clean(text: object, limit: int = SENTENCE) -> str:
    r"""`text` as one line of printable characters, at most `limit` of them.

    Whatever is not printable becomes a question mark: control characters, escapes, line ends, marks of direction,
    halves of surrogate pairs. Of more than `limit` characters the middle is left out.

    Example:
        >>> clean("\x1b[2Jrnn\u202e.l0\n")
        '?[2Jrnn?.l0?'
        >>> clean("encoder.stack.rnn.l0", limit=11)
        'encod…nn.l0'
    """
    text = str(text)
    if len(text) > limit:
        head = limit // 2
        text = f"{text[:head]}…{text[len(text) - (limit - head - 1) :]}"
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if text.isascii() else _unstacked(text)


def name(text: object) -> str:
    """A name: of a script, a site, a module, a remedy.

    Example:
        >>> len(name("x" * 10_000))
        120
    """
    return clean(text, NAME)


def to_ascii(text: str) -> str:
    """For terminals whose encoding has nothing else.

    Example:
        >>> to_ascii("×0.94 · 11 of 128 steps · größe")
        'x0.94 - 11 of 128 steps - gr??e'
    """
    return text.translate(ASCII).encode("ascii", "replace").decode()


def fitted(text: str, cells: int) -> str:
    """`text` in exactly `cells` columns of a terminal: filled up with blanks, or its middle left out.

    Example:
        >>> fitted("rnn.l0", 8), fitted("encoder.rnn.l0", 8), fitted("漢字漢字漢字", 8)
        ('rnn.l0  ', 'enc…n.l0', '漢 …漢字')
    """
    if cell_len(text) <= cells:
        return set_cell_size(text, cells)
    if cells < 4:
        return set_cell_size(text, max(cells, 0))
    head, tail = (cells - 1) // 2, cells - 1 - (cells - 1) // 2
    kept = text
    while cell_len(kept) > tail:
        kept = kept[1:]
    return set_cell_size(set_cell_size(text, head) + "…" + kept, cells)


def can_encode(encoding: str) -> bool:
    """Whether the pictures' characters can be written in an encoding.

    Example:
        >>> can_encode("utf-8"), can_encode("latin-1"), can_encode("no such encoding")
        (True, False, False)
    """
    try:
        "×·│┼┄⣿█▏─".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _unstacked(text: str) -> str:
    kept, stacked = [], 0
    for char in text:
        stacked = 0 if cell_len(char) else stacked + 1
        if stacked <= STACKED:
            kept.append(char)
    return "".join(kept)
