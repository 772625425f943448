"""Matrices of a loop by hand that nobody trains: tensors that multiply, step after step, what they made before."""

from typing import Any

import torch
from torch import Tensor, nn

from bptt.flow.by_hand._finder import STEPS
from bptt.flow.by_hand._graph import NONE, Graph
from bptt.flow.by_hand._saved import saved
from bptt.flow.record._alive import alive


def fixed(graph: Graph) -> list[Tensor]:
    """Matrices without gradient that multiply what they made themselves, three steps and more in a row.

    A registered buffer is fixed on purpose, and so is a matrix that nothing but the graph still holds.
    """
    depth: dict[int, dict[tuple[int, int], int]] = {}
    longest: dict[tuple[int, int], int] = {}
    for i, name in enumerate(graph.names):
        here: dict[tuple[int, int], int] = {}
        for child, _ in graph.edges[i]:
            if child >= 0:
                for key, count in depth.get(child, {}).items():
                    here[key] = max(here.get(key, 0), count)
        if name.startswith(("Mm", "Addmm", "Mv", "Addmv")) and NONE in graph.edges[i][-2:]:
            weight = _matrix_of(graph.nodes[i], graph.edges[i][-1] == NONE)
            if weight is not None:
                key = (weight.data_ptr(), weight.numel())
                here[key] = here.get(key, 0) + 1
                longest[key] = max(longest.get(key, 0), here[key])
        if here:
            depth[i] = here
    wanted = {key for key, count in longest.items() if count >= STEPS}
    return _alive(wanted) if wanted else []


def _matrix_of(node: Any, right: bool) -> Tensor | None:
    """The operand that has no graph."""
    for field in ("_saved_mat2", "_saved_vec") if right else ("_saved_mat1", "_saved_self"):
        kept = saved(node, field)
        if isinstance(kept, Tensor) and kept.dim() == 2 and kept.shape[0] == kept.shape[1]:
            return kept
    return None


def _alive(keys: set[tuple[int, int]]) -> list[Tensor]:
    """The script's own tensors at these places, without the buffers of modules."""
    meant = {
        _place(buffer)
        for module in alive(nn.Module)
        for buffer in module.__dict__.get("_buffers", {}).values()
        if isinstance(buffer, Tensor)
    }
    wanted, found = keys - meant, dict[tuple[int, int], Tensor]()
    for thing in alive(Tensor):
        # Only what the script itself can have made: compilers leave tensors without numbers lying about.
        if type(thing) not in (Tensor, nn.Parameter) or thing.requires_grad:
            continue
        key = _place(thing)
        # A parameter before other names of the same numbers.
        if key in wanted and (key not in found or isinstance(thing, nn.Parameter)):
            found[key] = thing
    return list(found.values())


def _place(tensor: Tensor) -> tuple[int, int] | None:
    """Where its numbers are, and how many; None where it has none of its own."""
    if tensor.layout != torch.strided or tensor.grad_fn is not None:
        return None
    try:
        return tensor.data_ptr(), tensor.numel()
    except RuntimeError:  # wrapped by a transformation of torch.func
        return None
