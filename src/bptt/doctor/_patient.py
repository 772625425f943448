"""The running script as remedies see it: the modules that hold its recurrences, and what its optimizer owns."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.doctor._gather import module_of
from bptt.doctor._loops import name_of
from bptt.doctor._prescription import Prescription
from bptt.doctor._seen import Seen
from bptt.doctor._whole import Whole
from bptt.flow.record._alive import alive
from bptt.flow.record._names import Names, _owner, _parents
from bptt.remedies import Change, RemedyError
from bptt.remedies.initialisation.redraw import wide_modules
from bptt.remedies.training.ignore_padding import LOSSES

AT_OWNER = ("keep_state", "keep_output", "reach_back")
"""Remedies that act on a module's own forward pass, so that the script's own module has to be meant."""
AT_MODULE = ("batch_first", "last_valid", "scale_input", "finite_input")
"""Remedies that act at the recurrent module and nowhere else."""
AT_LAYER = ("bound_bias", "redraw")
"""Remedies for the one layer and direction that a finding names; the others take all of its module."""
BY_HAND = {"orthogonal": 2, "spectral_radius": 2, "bound_bias": 1, "own_parameters": 2}
"""Remedies that fit parameters of a recurrence written by hand: its square matrices, or its biases."""
BARE = {
    "orthogonal": "torch.nn.init.orthogonal_({0}.data)",
    "spectral_radius": "{0}.data *= {radius} / torch.linalg.eigvals({0}).abs().max()  # where it is made",
    "bound_bias": "{0}.data.zero_()",
    "own_parameters": "{0}.requires_grad_(True)  # where it is made; give it to the optimizer",
}
"""What makes them permanent for a tensor that no module holds."""
TRAINS = ("own_parameters",)
"""Of these, those for matrices that are not trained."""


class Patient:
    """Finds what a finding's site means in a process where nobody has named a model.

    Args:
        names: as the monitor names modules.
        modules: the recurrent modules that were called and still live.
        optimizer: the one that steps; None before there is one.
        loops: the matrices of each recurrence that was written by hand.
        still: those that multiply a state again and again, and are not trained.
    """

    def __init__(
        self,
        names: Names,
        modules: Sequence[nn.Module],
        optimizer: Optimizer | None,
        loops: Sequence[Sequence[Tensor]] = (),
        still: Sequence[Sequence[Tensor]] = (),
    ) -> None:
        self.names, self.modules, self.optimizer = names, modules, optimizer
        self.loops, self.still = loops, still
        self._found: list[nn.Module] | None = None  # to look through all objects takes a while

    @classmethod
    def of(cls, names: Names, module: nn.Module) -> "Patient":
        """One recurrent module before training, whose optimizer is not known yet."""
        return cls(names, [module], None)

    def apply(self, prescription: Prescription, calls: Sequence[Seen]) -> Change:
        """Apply it where its site is; what would raise in the script's next call is taken back at once.

        Raises:
            RemedyError: it does not fit.
        """
        module = self._module(prescription.site)
        if module is None and prescription.remedy in BY_HAND and self._meant(prescription):
            return self._by_hand(prescription)
        model, site = self._where(prescription, module)
        change = prescription.row.apply(model, self.optimizer, site=site, **prescription.args)
        try:
            self._rehearse(module, calls)
        except Exception as error:
            change.undo()
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RemedyError(f"the script could not go on with it: {said}") from None
        return change

    def wide(self) -> bool:
        """Whether a module that is trained has weights far wider than it draws them."""
        return any(wide_modules(self._whole()))

    def _by_hand(self, prescription: Prescription) -> Change:
        """The same remedy at every parameter that it fits of a recurrence written by hand.

        Raises:
            RemedyError: there is none.
        """
        root, names = self._parameters(prescription)
        if not names:
            raise RemedyError(
                "the recurrence was written by hand, and holds no parameter that it fits"
            )
        whole = Change(prescription.remedy, dict(prescription.args))
        with whole:
            for name in names:
                done = prescription.row.apply(root, self.optimizer, site=name, **prescription.args)
                if isinstance(root, Whole) and "." not in name:
                    done.lines = (BARE[prescription.remedy].format(name, **done.args),)
                whole.absorb(done)
        return whole

    def _parameters(self, prescription: Prescription) -> tuple[nn.Module, list[str]]:
        """The module that holds a finding's recurrence, and the names of those of its parameters that are meant."""
        loops = self._loops_at(prescription.site, self._meant(prescription))
        matrices = {id(weight): weight for loop in loops for weight in loop}
        tops = [top for top in self._tops() if any(id(p) in matrices for p in top.parameters())]
        root = tops[0] if len(tops) == 1 else self._whole(matrices.values())
        square = {
            name: p
            for name, p in root.named_parameters()
            if id(p) in matrices and p.dim() == 2 and p.shape[0] == p.shape[1]
        }
        if BY_HAND[prescription.remedy] == 2:
            return root, list(square)
        sizes = {len(p) for p in square.values()}
        inner = self._named(prescription.site) or root
        own = {id(p) for p in inner.parameters()}
        return root, [
            name
            for name, p in root.named_parameters()
            if id(p) in own and p.dim() == 1 and len(p) in sizes and "b" in name.rpartition(".")[2]
        ]

    def _meant(self, prescription: Prescription) -> list[Sequence[Tensor]]:
        """The recurrences by hand that a remedy is for."""
        still = self.still if prescription.remedy in TRAINS else ()
        return [*self.loops, *still]

    def _loops_at(self, site: str, loops: list[Sequence[Tensor]]) -> list[Sequence[Tensor]]:
        """The recurrences that a site names: those whose matrices its module holds; the only one there is."""
        if site and (
            called := [loop for loop in loops if name_of(_largest(loop), self.names) == site]
        ):
            return called
        inner = self._named(site)
        own = set() if inner is None else {id(p) for p in inner.parameters()}
        held = [loop for loop in loops if any(id(weight) in own for weight in loop)]
        return held or list(loops if len(loops) == 1 else ())

    def _named(self, site: str) -> nn.Module | None:
        """The innermost living module of this name, or of a class of this name."""
        found = [
            each
            for top in self._tops()
            for each in top.modules()
            if site and site in (self.names.known(each), type(each).__name__)
        ]
        return found[-1] if found else None

    def _where(self, prescription: Prescription, module: nn.Module | None) -> tuple[nn.Module, str]:
        if prescription.remedy in AT_MODULE and module is not None:
            return module, ""
        if prescription.remedy in AT_MODULE:
            return self._named(prescription.site) or self._owner(module), ""
        if prescription.remedy in AT_OWNER:
            return self._owner(module), ""
        # Clipping takes the norm of all that is trained, whichever modules hold it.
        clips = prescription.row.kind == "clipping" or prescription.remedy == "ignore_padding"
        clips = clips or (prescription.remedy == "redraw" and not prescription.site)
        root = self._whole() if clips or module is None else self._owner(module)
        path = next((name for name, each in root.named_modules() if each is module), "")
        layer = prescription.site.rpartition(".")[2]
        if prescription.remedy in AT_LAYER and isinstance(module, nn.RNNBase) and layer:
            path = f"{path}.{layer}".lstrip(".")
        return root, "" if clips else path

    def _module(self, site: str) -> nn.Module | None:
        """The recurrent module of a site; the only one there is, if the finding is about the run."""
        for module in self.modules:
            name = self.names(module) or (
                "" if isinstance(module, nn.RNNBase) else type(module).__name__
            )
            if site and name in (site, module_of(site)):
                return module
        return self.modules[0] if len(self.modules) == 1 and not site else None

    def _owner(self, module: nn.Module | None) -> nn.Module:
        """The outermost module that holds it; for a recurrence by hand, the one whose parameters are trained."""
        if module is not None:
            return _owner(module, _parents())
        tops = self._tops()
        if not tops:
            raise RemedyError("the script has no module that it could be applied to")
        return max(tops, key=lambda top: sum(p.numel() for p in top.parameters()))

    def _tops(self) -> list[nn.Module]:
        """The outermost living modules with a parameter that the optimizer owns, or with a recurrent module."""
        if self._found is None:
            self._found = self._search()
        return self._found

    def _search(self) -> list[nn.Module]:
        owned = {id(p) for p in self._trained()}
        held, parents = {id(m) for m in self.modules}, _parents()
        tops = []
        for each in alive(nn.Module):
            if id(each) in parents or "_modules" not in each.__dict__ or isinstance(each, Whole):
                continue
            if any(id(m) in held for m in each.modules()) or any(
                id(p) in owned for p in each.parameters()
            ):
                tops.append(each)
        return tops

    def _whole(self, besides: Iterable[Tensor] = ()) -> "Whole":
        """All that is trained as one module, whose parts stay where they are; `besides`: and these."""
        losses = [each for each in alive(*LOSSES) if type(each) in LOSSES]
        return Whole([*self._tops(), *losses], [*self._trained(), *besides], self.names)

    def _trained(self) -> list[Tensor]:
        groups = [] if self.optimizer is None else self.optimizer.param_groups
        return [p for group in groups for p in group["params"]]

    def _rehearse(self, module: nn.Module | None, calls: Sequence[Seen]) -> None:
        """One call as the script made it: shapes that its own code relies on have to stay."""
        seen = next((each for each in calls if each.module is module), None)
        if seen is None or module is None:
            return
        with torch.random.fork_rng(), torch.no_grad():
            training = module.training
            output = module.eval()(*seen.args, **seen.kwargs)
            module.train(training)
        before, after = _shapes(seen.output), _shapes(output)
        if before[:1] != after[:1]:
            raise RemedyError(f"its output would be {after[:1]} in the place of {before[:1]}")


def _largest(loop: Sequence[Tensor]) -> Tensor:
    return max(loop, key=Tensor.numel)


def _shapes(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)) and not hasattr(value, "batch_sizes"):
        return [shape for each in value for shape in _shapes(each)]
    data = getattr(value, "data", value)
    return [tuple(data.shape)] if isinstance(data, torch.Tensor) else []
