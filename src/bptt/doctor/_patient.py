"""The running script as remedies see it: the modules that hold its recurrences, and what its optimizer owns."""

import gc
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from bptt.doctor._gather import module_of
from bptt.doctor._prescription import Prescription
from bptt.doctor._seen import Seen
from bptt.flow.record._names import Names, _owner, _parents
from bptt.remedies import Change, RemedyError

AT_OWNER = ("keep_state", "keep_output")
"""Remedies that act on a module's own forward pass, so that the script's own module has to be meant."""
AT_MODULE = ("batch_first", "last_valid", "scale_input", "finite_input")
"""Remedies that act at the recurrent module and nowhere else."""


class Patient:
    """Finds what a finding's site means in a process where nobody has named a model.

    Args:
        names: as the monitor names modules.
        modules: the recurrent modules that were called and still live.
        optimizer: the one that steps.
    """

    def __init__(self, names: Names, modules: Sequence[nn.Module], optimizer: Optimizer) -> None:
        self.names, self.modules, self.optimizer = names, modules, optimizer

    def apply(self, prescription: Prescription, calls: Sequence[Seen]) -> Change:
        """Apply it where its site is; what would raise in the script's next call is taken back at once.

        Raises:
            RemedyError: it does not fit.
        """
        module = self._module(prescription.site)
        model, site = self._where(prescription, module)
        change = prescription.row.apply(model, self.optimizer, site=site, **prescription.args)
        try:
            self._rehearse(module, calls)
        except Exception as error:
            change.undo()
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RemedyError(f"the script could not go on with it: {said}") from None
        return change

    def _where(self, prescription: Prescription, module: nn.Module | None) -> tuple[nn.Module, str]:
        if prescription.remedy in AT_MODULE and module is not None:
            return module, ""
        if prescription.remedy in (*AT_OWNER, *AT_MODULE):
            return self._owner(module), ""
        # Clipping takes the norm of all that is trained, whichever modules hold it.
        clips = prescription.row.kind == "clipping"
        root = self._whole() if clips or module is None else self._owner(module)
        path = next((name for name, each in root.named_modules() if each is module), "")
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
        owned = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        held, parents = {id(m) for m in self.modules}, _parents()
        living = [each for each in gc.get_objects() if issubclass(type(each), nn.Module)]
        tops = []
        for each in living:
            if id(each) in parents or "_modules" not in each.__dict__ or isinstance(each, _Whole):
                continue
            if any(id(m) in held for m in each.modules()) or any(
                id(p) in owned for p in each.parameters()
            ):
                tops.append(each)
        return tops

    def _whole(self) -> "_Whole":
        """All that is trained as one module, whose parts stay where they are."""
        return _Whole(self._tops(), self.optimizer)

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


class _Whole(nn.Module):
    """A script's modules and loose parameters, held together for the time that a remedy looks at them."""

    def __init__(self, tops: list[nn.Module], optimizer: Optimizer) -> None:
        super().__init__()
        for n, top in enumerate(tops):
            self.add_module(str(n), top)
        known = {id(p) for p in self.parameters()}
        loose = [p for group in optimizer.param_groups for p in group["params"]]
        for n, p in enumerate(p for p in loose if id(p) not in known):
            if isinstance(p, nn.Parameter):
                self.register_parameter(f"loose_{n}", p)


def _shapes(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)) and not hasattr(value, "batch_sizes"):
        return [shape for each in value for shape in _shapes(each)]
    data = getattr(value, "data", value)
    return [tuple(data.shape)] if isinstance(data, torch.Tensor) else []
