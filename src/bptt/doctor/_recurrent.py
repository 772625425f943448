"""The recurrent weights of torch's own modules: which there are, who owns them, whether they move."""

import torch
from torch import Tensor, nn

from bptt.doctor._gauge import sample
from bptt.doctor._owner import Owner
from bptt.doctor._seen import Forward
from bptt.rules import Weights

FEW = 64
"""Updates in which the gradients of all are looked at."""
WHOLE_EVERY = 16
"""Updates after which all weights are compared, not only recurrent ones."""


class RecurrentWeights:
    """`weight_hh` of the first layer of every recurrent module that was called and still lives.

    Args:
        forward: knows the modules.

    Attributes:
        facts: what rules are told of them, by the module's id.
    """

    def __init__(self, forward: Forward) -> None:
        self.facts: dict[int, Weights] = {}
        self._forward = forward

    def pairs(self) -> list[tuple[nn.Module, Tensor]]:
        """Each module and its weight, in the order of their first calls."""
        found = []
        for module in self._forward.living():
            weight = _trained(module)
            if weight is not None:
                found.append((module, weight))
        return found

    def each(self) -> list[Tensor]:
        """The weights."""
        return [weight for _, weight in self.pairs()]

    def of(self, owner: Owner) -> list[Tensor]:
        """Those that an optimizer owns."""
        return [weight for _, weight in self.pairs() if id(weight) in owner.ids]

    def count(self, owner: Owner, before: list[Tensor]) -> None:
        """An update is over; `before`: samples of what the owner's were."""
        ratio, updates = owner.updates.ratio[-1], owner.updates.count
        watched = self.of(owner)
        owned = {id(weight) for weight in watched}
        held = zip(before, watched, strict=False)
        still = {id(weight) for was, weight in held if torch.equal(was, sample(weight.detach()))}
        seldom = updates > FEW and updates % WHOLE_EVERY
        for module, weight in self.pairs():
            facts = self.facts.setdefault(id(module), Weights(site=""))
            facts.trains = weight.requires_grad
            if id(weight) in owned:
                facts.owned = True
                facts.moved += id(weight) not in still
            elif ratio > 0:
                facts.other_moved += 1
            if id(module) not in self._forward.called or seldom:
                continue
            facts.steps += 1
            grad = weight.grad
            facts.with_grad += grad is not None and bool(sample(grad).any())


def _trained(module: nn.Module) -> Tensor | None:
    """The parameter that is the recurrent weight, or the largest of those that it is computed from."""
    name = "weight_hh_l0" if isinstance(module, nn.RNNBase) else "weight_hh"
    if module._parameters.get(name) is not None:
        return module._parameters[name]
    behind = [p for n, p in module.named_parameters() if name in n and f"{name}_reverse" not in n]
    return max(behind, key=Tensor.numel, default=None)
