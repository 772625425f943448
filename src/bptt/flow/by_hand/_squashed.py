"""What the squashing operations of a recurrence by hand gave: read from the graph, which keeps their results.

Only operations that a later step depends on count, so that a read-out does not. Sigmoids are taken for gates; those of
one step are numbered in the order in which they were computed.
"""

import torch
from torch import Tensor

from bptt.flow.by_hand._graph import Graph
from bptt.flow.by_hand._levels import below_a_use
from bptt.flow.by_hand._saved import saved
from bptt.flow.by_hand._states import Chain
from bptt.flow.walk._statistics import Statistics, gate_statistics, saturation

MOST = 96
"""Results of one kind of operation that are looked at, at most."""


def activations(graph: Graph, chain: Chain, axis: int) -> Statistics:
    """Saturation of tanh, dead units of ReLU, stuck sigmoids; nothing of what is not there. `axis` counts samples."""
    found = Statistics()
    inside = below_a_use(graph, chain.clock, chain.level)
    by_kind: dict[str, list[Tensor]] = {}
    gates: dict[int, int] = {}
    for i, name in enumerate(graph.names):
        kind = name.removesuffix("Backward0")
        if kind not in ("Tanh", "Relu", "Sigmoid") or not inside[i] or not chain.level[i]:
            continue
        result = saved(graph.nodes[i], "_saved_result")
        if result is None:
            continue
        if kind == "Sigmoid":
            number = gates[chain.level[i]] = gates.get(chain.level[i], 0) + 1
            kind = f"gate {number}"
        by_kind.setdefault(kind, []).append(result.detach())
    for kind, results in by_kind.items():
        _look(found, kind, results, axis)
    return found


def _look(found: Statistics, kind: str, results: list[Tensor], axis: int) -> None:
    wide = max(results, key=lambda r: r.numel()).shape
    alike = [result for result in results if result.shape == wide][:MOST]
    values = torch.cat([_by_unit(result, axis) for result in alike])
    if kind == "Tanh":
        saturation(found, values)
    elif kind == "Relu":
        found.units = values.shape[-1]
        found.dead = frozenset((values == 0).all(0).nonzero().flatten().tolist())
    else:
        gate_statistics(found, kind, values)


def _by_unit(result: Tensor, axis: int) -> Tensor:
    """`[N, H]`: samples that are columns are turned, and so is a batch of columns."""
    if result.dim() == 2 and axis == 1:
        return result.T
    if result.dim() == 3 and axis == 0 and result.shape[-1] == 1:
        return result.squeeze(-1)
    return result.reshape(-1, result.shape[-1])
