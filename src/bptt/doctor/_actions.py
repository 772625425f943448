"""What others want to do as a run goes on: before and after steps, and when a probe has said something."""

from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer

from bptt.flow import Flow
from bptt.rules import Finding

Action = Callable[[Optimizer, int], Any]
"""Called with the optimizer and the number of the update."""
Said = Callable[[Flow, Sequence[Finding]], Any]
"""Called with what a probe measured, and with what the rules say by then."""


class Registered:
    """What takes a registration back."""

    def __init__(self, places: list[tuple[list[Any], Any]]) -> None:
        self._places = places

    def remove(self) -> None:
        """Call no more; a second time changes nothing."""
        for actions, action in self._places:
            actions[:] = [each for each in actions if each is not action]
        self._places = []


class Actions:
    """Keeps the actions and calls them in the order in which they came."""

    def __init__(self) -> None:
        self._before: list[Action] = []
        self._after: list[Action] = []
        self.said: list[Said] = []

    def add(
        self,
        *,
        before: Action | None = None,
        after: Action | None = None,
        said: Said | None = None,
    ) -> Registered:
        """Register what is given."""
        given = [(self._before, before), (self._after, after), (self.said, said)]
        places = [(actions, action) for actions, action in given if action is not None]
        for actions, action in places:
            actions.append(action)  # type: ignore[arg-type]
        return Registered(places)  # type: ignore[arg-type]

    def before_step(self, optimizer: Optimizer, update: int) -> None:
        """Gradients are complete, weights have not changed."""
        for action in tuple(self._before):
            action(optimizer, update)

    def after_step(self, optimizer: Optimizer, update: int) -> None:
        """Weights have changed."""
        for action in tuple(self._after):
            action(optimizer, update)

    def say(self, flow: Flow, findings: Sequence[Finding]) -> None:
        """A probe was harvested."""
        for action in tuple(self.said):
            action(flow, findings)
