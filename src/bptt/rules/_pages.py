"""The rules' pages, read from their files without running them: `bptt rules` and `bptt explain` need no torch."""

import ast
import re
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from functools import cache, partial
from pathlib import Path

from bptt._errors import BpttError

FILE = re.compile(r"[a-z]{2}\d{3}_\w+")
_TITLE = re.compile(r"(?P<code>[A-Z]{2}\d{3}) (?P<name>[a-z-]+): (?P<summary>.+)")


class UnknownRuleError(BpttError):
    """A code, name or family that no rule has."""


@dataclass(frozen=True)
class Page:
    """What a rule's file says of itself.

    Attributes:
        code: `VG101`.
        name: `vanishing-through-time`.
        summary: the rest of its first line.
        text: the whole page.
        options: thresholds by name, and their defaults.
        file: name of the file, without its suffix.
    """

    code: str
    name: str
    summary: str
    text: str
    options: dict[str, float]
    file: str

    @property
    def family(self) -> str:
        """The letters of the code."""
        return self.code[:2]


@cache
def pages() -> dict[str, Page]:
    """All pages by code, in order.

    Example:
        >>> pages()["VG101"].name
        'vanishing-through-time'
    """
    files = sorted(Path(__file__).parent.glob("*.py"))
    found = [_page(path) for path in files if FILE.fullmatch(path.stem)]
    return {page.code: page for page in found}


def _page(path: Path) -> Page:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    text = ast.get_docstring(tree) or ""
    title = _TITLE.match(text)
    if title is None:
        raise BpttError(
            f"{path.name} begins with {text.splitlines()[:1]}, expected 'VG101 its-name: what it says'"
        )
    return Page(title["code"], title["name"], title["summary"], text, _options(tree), path.stem)


def _options(tree: ast.Module) -> dict[str, float]:
    for node in tree.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        target = node.targets[0] if isinstance(node, ast.Assign) else target
        if isinstance(target, ast.Name) and target.id == "OPTIONS":
            told = ast.literal_eval(node.value)  # type: ignore[attr-defined]
            return {name: float(number) for name, number in told.items()}
    return {}


def page(word: str) -> Page:
    """The page of the rule with this code or name.

    Raises:
        UnknownRuleError: there is none; the message names the nearest.

    Example:
        >>> page("vanishing-through-time").code
        'VG101'
        >>> page("VG1O1")
        Traceback (most recent call last):
        ...
        bptt.rules._pages.UnknownRuleError: no rule 'VG1O1'; the nearest is VG101 vanishing-through-time; ...
    """
    for each in pages().values():
        if word.upper() == each.code or word.lower() == each.name:
            return each
    raise UnknownRuleError(f"no rule {word!r}; {_nearest(word)}; `bptt rules` lists them all")


def codes(select: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> list[str]:
    """Codes of the rules that `select` names (all if empty) less those that `ignore` names.

    Args:
        select: codes, names or families.
        ignore: likewise.

    Raises:
        UnknownRuleError: a word that fits none.

    Example:
        >>> codes(("VG",), ("VG103",))
        ['VG101', 'VG102']
    """
    wanted = {code for word in select for code in _codes(word)} if select else set(pages())
    unwanted = {code for word in ignore for code in _codes(word)}
    return [code for code in pages() if code in wanted and code not in unwanted]


def _codes(word: str) -> list[str]:
    family = [code for code, each in pages().items() if word.upper() == each.family]
    return family or [page(word).code]


def _likeness(word: str, code: str) -> float:
    return SequenceMatcher(None, word, code).ratio()


def _nearest(word: str) -> str:
    names = {each.name: code for code, each in pages().items()}
    near = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    code = names[near[0]] if near else max(pages(), key=partial(_likeness, word.upper()))
    return f"the nearest is {code} {pages()[code].name}"
