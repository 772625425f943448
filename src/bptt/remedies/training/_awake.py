"""Recurrent modules run with gradients where a forward pass in training switches them off."""

from typing import Any

import torch
from torch import nn


class Awake:
    """Hooks around the calls of recurrent modules: under `no_grad`, one amid a training pass has gradients even so.

    A pass that begins without gradients, as evaluation does, stays without. What else the script computes under
    `no_grad` stays as it is: the state goes on from call to call of the recurrence.

    Args:
        counts: `counts["joined"]` has the calls.
        always: the model is the recurrent module itself: all its calls in training count as being within a pass.

    Attributes:
        inside: forward passes with gradients that are going on.

    Example:
        >>> cell, awake = nn.RNNCell(1, 2), Awake({"joined": 0}, always=True)
        >>> hooks = cell.register_forward_pre_hook(awake.begins), cell.register_forward_hook(awake.ends)
        >>> with torch.no_grad():
        ...     h = cell(torch.ones(1, 1))
        ...     torch.is_grad_enabled()
        False
        >>> h.requires_grad
        True
    """

    def __init__(self, counts: dict[str, int], *, always: bool = False) -> None:
        self.counts, self.always = counts, always
        self.inside = 0
        self._woken: list[int] = []

    def __getstate__(self) -> dict[str, Any]:
        """A copied or saved model is not in the midst of a pass."""
        return {"counts": self.counts, "always": self.always, "inside": 0, "_woken": []}

    def begins(self, module: nn.Module, args: Any) -> None:
        """Before a call."""
        within = self.inside > 0 or self.always
        if within and module.training and not torch.is_grad_enabled():
            self._woken.append(id(module))
            self.counts["joined"] += 1
            torch.set_grad_enabled(True)

    def ends(self, module: nn.Module, args: Any, output: Any) -> None:
        """After it, whether or not it went through."""
        if self._woken and self._woken[-1] == id(module):
            self._woken.pop()
            torch.set_grad_enabled(False)
