"""Prescriptions that can be applied: a rule's record of a remedy, joined to the remedy itself.

Rules know remedies by name only; the doctor stands above both and brings them together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn
from torch.optim import Optimizer

from bptt import rules
from bptt.doctor._gather import module_of
from bptt.remedies import Change, Remedy, remedy
from bptt.remedies import table as remedies
from bptt.rules import Finding

BESIDES: dict[str, tuple[str, ...]] = {
    "OP502": ("keep_output",),
    "TR403": ("ignore_padding",),
    "SA301": ("redraw",),
    "SA302": ("scale_input", "redraw"),
    "SA303": ("redraw",),
    "NF601": ("scale_input", "finite_input", "skip_non_finite", "learning_rate"),
    "NF603": ("skip_non_finite",),
}
"""Remedies that cure some of what a rule finds, though not its own bad model, and so are not in their `CURES`."""


@dataclass(frozen=True)
class Prescription(rules.Prescription):
    """A remedy with its arguments, and the place that a finding names.

    Attributes:
        site: the finding's site; `""` for all of the model.
    """

    site: str = ""

    @property
    def row(self) -> Remedy:
        """The remedy's row in the table: its page, what it fits, what it cures.

        Raises:
            RemedyError: there is no remedy of this name.
        """
        return remedy(self.remedy)

    def apply(
        self,
        model: nn.Module,
        optimizer: Optimizer | None = None,
        *,
        say: Callable[[str], Any] | None = print,
    ) -> Change:
        """Apply it, and print the lines of code that make it permanent.

        Args:
            model: the model that was diagnosed, or one built like it.
            optimizer: what trains it; remedies that act on updates need it.
            say: prints a line; None to keep quiet.

        Returns:
            What was done; its `undo()` takes it back bit for bit.

        Raises:
            RemedyError: it does not fit this model; nothing was changed.

        Example:
            >>> model = nn.LSTM(2, 4)
            >>> change = Prescription("forget_bias", {"value": 2.0}, "l0").apply(model, say=None)
            >>> change.undo()
        """
        change = self.row.apply(model, optimizer, site=self.site, **self.args)
        if say is not None:
            for line in change.lines:
                say(line)
        return change

    def __str__(self) -> str:
        args = ", ".join(f"{name}={value!r}" for name, value in self.args.items())
        return f"{self.remedy}({args})"


def applicable(findings: Sequence[Finding]) -> list[Finding]:
    """The same findings, with prescriptions that can be applied; consequences likewise."""
    return [
        replace(
            each,
            prescriptions=tuple(of_finding(each)),
            consequences=tuple(applicable(each.consequences)),
        )
        for each in findings
    ]


def of_finding(finding: Finding) -> list[Prescription]:
    """What a rule prescribes for a finding, at the site it names."""
    return [Prescription(p.remedy, dict(p.args), finding.site) for p in finding.prescriptions]


def for_finding(finding: Finding) -> list[Prescription]:
    """What a rule prescribes, then what the table has for it besides; without arguments that nobody named.

    Example:
        >>> finding = Finding("TR403", "padding-in-the-path", "rnn.l0", "error", "the loss reads padding")
        >>> [str(each) for each in for_finding(finding)]
        ['last_valid()', 'ignore_padding()']
    """
    found = [each for each in of_finding(finding) if each.remedy in remedies()]
    named = {each.remedy for each in found}
    others = [name for name, row in remedies().items() if finding.code in row.cures]
    for name in (*others, *BESIDES.get(finding.code, ())):
        if name not in named:
            found.append(Prescription(name, {}, finding.site))
            named.add(name)
    return found


def module_site(site: str) -> str:
    """The recurrent module that a site belongs to: what remedies take for all of its layers and directions."""
    return module_of(site)
