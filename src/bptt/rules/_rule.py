"""What a rule is, what it returns, and the options that it may be given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from bptt.rules._evidence import Evidence

Severity = Literal["error", "warning", "advice"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "advice")


@dataclass(frozen=True)
class Prescription:
    """A remedy by its name, with the arguments that fit this finding."""

    remedy: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        code: `VG101`.
        name: `vanishing-through-time`.
        site: where; the module's name, or `""` for the run as a whole.
        severity: `error`, `warning` or `advice`.
        message: at most three lines: where, the numbers, the cause, what to do.
        evidence: the numbers the rule judged by, JSON-able.
        update: the update at which it began, None if not known.
        prescriptions: remedies, the best first.
        persists: whether it was still so at the last look.
        confidence: how sure it is, 0 to 1.
        consequences: findings with this one as their root cause, folded under it.
    """

    code: str
    name: str
    site: str
    severity: Severity
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)
    update: int | None = None
    prescriptions: tuple[Prescription, ...] = ()
    persists: bool = True
    confidence: float = 1.0
    consequences: "tuple[Finding, ...]" = ()

    def __str__(self) -> str:
        where = f" {self.site}" if self.site else ""
        return f"{self.code} {self.name}{where}: {self.message}"


Options = dict[str, float]
"""Thresholds by name, for one rule; a rule's `OPTIONS` holds the defaults."""

Check = Callable[[Evidence, Options], list[Finding]]


@dataclass(frozen=True)
class Rule:
    """A row of the table: the code, the name, and the module that holds page, models and check.

    Attributes:
        code: `VG101`.
        name: `vanishing-through-time`.
        check: from evidence and options to findings; it reads nothing else.
        options: the thresholds by name and their defaults.
        page: the docstring of the rule's file.
        bad: a function that builds the model or loop that the rule fires on.
        good: its healthy twin.
    """

    code: str
    name: str
    check: Check
    options: Options
    page: str
    bad: Callable[..., Any]
    good: Callable[..., Any]

    @property
    def family(self) -> str:
        """The letters of the code."""
        return self.code[:2]
