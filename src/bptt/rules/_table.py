"""The table of rules: every file of this room that is named after a code is a row."""

import importlib
from functools import cache

from bptt.rules._pages import Page, codes, page, pages
from bptt.rules._rule import Rule


@cache
def table() -> dict[str, Rule]:
    """All rules by code, in the order of their codes.

    Example:
        >>> table()["VG101"].name
        'vanishing-through-time'
    """
    return {code: _row(each) for code, each in pages().items()}


def _row(said: Page) -> Rule:
    module = importlib.import_module(f"bptt.rules.{said.file}")
    return Rule(
        code=said.code,
        name=said.name,
        check=module.check,
        options=said.options,
        page=said.text,
        bad=module.bad,
        good=module.good,
    )


def rule(word: str) -> Rule:
    """The rule with this code or name.

    Raises:
        UnknownRuleError: there is none; the message holds the nearest.
    """
    return table()[page(word).code]


def chosen(select: tuple[str, ...] = (), ignore: tuple[str, ...] = ()) -> list[Rule]:
    """The rules that `select` names (all if empty) less those that `ignore` names, by code, name or family.

    Raises:
        UnknownRuleError: a word that fits none.
    """
    return [table()[code] for code in codes(select, ignore)]
