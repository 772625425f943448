"""In what precision gradients go from step to step.

Under autocast a state may be float32 and yet hand its gradient on through float16 alone, where it is lost below 6e-8.
So the state's own type does not tell; what every way from a step to the one before has to pass does.
"""

import torch

from bptt.flow.by_hand._graph import NONE, Graph, Outlet
from bptt.flow.by_hand._levels import inputs
from bptt.flow.by_hand._states import Chain


def narrowest_type(graph: Graph, chain: Chain) -> torch.dtype:
    """float16 if every way through a step in the middle passes a tensor of that type; else the state's type."""
    after = [outlet for outlet in chain.states[len(chain.states) // 2] if outlet != NONE]
    before = {outlet for outlet in chain.states[len(chain.states) // 2 - 1] if outlet != NONE}
    stack, seen, met = list(after), set(after), False
    while stack:
        outlet = stack.pop()
        if _type(graph, outlet) == torch.float16:
            met = True
            continue
        if outlet in before:
            return _type(graph, after[0])
        fresh = [each for each in inputs(graph, outlet.node, chain.level) if each not in seen]
        seen.update(fresh)
        stack += fresh
    return torch.float16 if met else _type(graph, after[0])


def _type(graph: Graph, outlet: Outlet) -> torch.dtype:
    return graph.nodes[outlet.node]._input_metadata[outlet.nr].dtype
