"""Closer looks: attribution by step, eigenvalues of the recurrent weights, singular values of step Jacobians.

No rule reads them; a report draws them. They come with the first probe and with milestones, with others as a quarter
of the budget allows, and the eigenvalues once more with the last.
"""

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bptt._errors import UnmeasurableError
from bptt.cells import Weights
from bptt.doctor._spectra import LARGEST, Spectra, held
from bptt.doctor._tally import Record
from bptt.flow._analyse import attribute
from bptt.flow.walk._linear import Linearised
from bptt.flow.walk._totals import Totals

SHARE = 0.25
"""Of the budget, for closer looks."""
FREE = 1.0
"""Seconds that those at milestones may take beyond it, all together."""


class Last(NamedTuple):
    """What a site's weights were at the last probe, as long as their eigenvalues were not told."""

    kind: str
    weights: Weights


class CloseLooks:
    """Those of one run.

    Args:
        budget: share of the run's time that all probing may take.

    Attributes:
        seconds: spent so far.
    """

    def __init__(self, budget: float) -> None:
        self.seconds = 0.0
        self._share = SHARE * min(budget, 1.0)
        self._allowed = self._began = 0.0
        self._first = self._attributes = True
        self._attribution = 0.0  # seconds it took the last time
        self._spectra = Spectra(lambda: self._allowed - self.seconds - self._running())
        self._sites: dict[str, dict[str, Any]] = {}
        self._last: dict[str, Last] = {}
        self._noted: set[tuple[str, str]] = set()

    def begin(self, *, milestone: bool, elapsed: float) -> None:
        """A probe is about to be analysed, `elapsed` seconds after the run began."""
        self._allowed = max(self._share * elapsed, FREE if milestone else 0.0)
        self._attributes = self._first or self.seconds + self._attribution <= self._allowed
        if self._attributes:
            self._attribution = 0.0
        self._first = False
        self._sites, self._last = {}, {}

    @torch.no_grad()
    def look(self, lin: Linearised, totals: Totals, bears: Tensor) -> Tensor | None:
        """A track was walked back: its attribution's log factors if they fit. Its spectra are kept for `take`."""
        self._began, factors = time.perf_counter(), None
        try:
            if self._attributes:
                factors = attribute(lin, totals, bears)
                self._attribution += self._running()
            if lin.track.site not in self._sites:
                self._sites[lin.track.site] = self._of_site(lin)
        finally:
            self.seconds, self._began = self.seconds + self._running(), 0.0
        return factors

    def _running(self) -> float:
        """Seconds of the look that is going on."""
        return time.perf_counter() - self._began if self._began else 0.0

    def _of_site(self, lin: Linearised) -> dict[str, Any]:
        track, found = lin.track, dict[str, Any]()
        try:
            gates = self._spectra.of_weights(track.site, track.kind, track.w)
            if gates is not None:
                found["gates"] = gates
            elif len(track.w.w_hh.T) <= LARGEST:
                self._last[track.site] = Last(track.kind, held(track.w))
            if (singular := self._spectra.of_steps(lin)) is not None:
                found["singular"] = singular
        except (UnmeasurableError, RuntimeError) as error:  # LAPACK may not converge
            self._spectra.notes.append({"subject": track.site, "reason": str(error)})
        return found

    def take(self, update: int) -> Record | None:
        """The line of `spectra.jsonl` on the probe of that update, None where there is nothing new to tell."""
        sites = {name: found for name, found in self._sites.items() if found}
        notes, self._spectra.notes = self._spectra.notes, []
        # Each is told once, whatever the number of seconds in it.
        new = {(n["subject"], n["reason"].partition(":")[0]): n for n in notes}
        fresh = [note for key, note in new.items() if key not in self._noted]
        self._noted |= new.keys()
        if not sites and not fresh:
            return None
        return {"update": update, "sites": sites, **({"notes": fresh} if fresh else {})}

    def close(self, update: int, elapsed: float) -> Record | None:
        """The run is over: eigenvalues of the last probe's weights, where they are not told yet."""
        self._allowed = max(self._share * elapsed, FREE)
        self._began, found = time.perf_counter(), dict[str, dict[str, Any]]()
        for site, (kind, weights) in self._last.items():
            try:
                gates = self._spectra.of_weights(site, kind, weights)
            except RuntimeError as error:
                self._spectra.notes.append({"subject": site, "reason": str(error)})
                continue
            if gates is not None:
                found[site] = {"gates": gates}
        self._sites, self._last = found, {}
        self.seconds, self._began = self.seconds + self._running(), 0.0
        return self.take(update)
