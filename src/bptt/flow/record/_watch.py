"""Reading gradients off the autograd graph without touching it.

A hook on the *node* that made a tensor sees the gradient that flows into it, summed over everything that used the
tensor and after the user's own tensor hooks; it stays right when the tensor is changed in place later.
"""

import weakref
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.autograd.graph import Node
from torch.utils.hooks import RemovableHandle

from bptt.flow.record._shelter import sheltered


@runtime_checkable
class HasGrads(Protocol):
    """A record that gradients are written to."""

    grads: dict[str, Tensor]
    second_order: bool


def watch(
    tensor: Tensor, record: HasGrads, key: str, arrived: Callable[[], None]
) -> RemovableHandle | None:
    """Add every gradient that reaches `tensor` to `record.grads[key]`; None where none can.

    The hook holds the record weakly: the graph owns the hook, and a strong reference would close a cycle that Python's
    collector cannot see.
    """
    if tensor.grad_fn is None:
        return None
    return watch_node(tensor.grad_fn, tensor.output_nr, record, key, arrived)


def watch_node(
    node: Any, nr: int, record: HasGrads, key: str, arrived: Callable[[], None]
) -> RemovableHandle:
    """The same for the tensor that is output `nr` of a node of the graph."""
    weak = weakref.ref(record)

    @sheltered
    def hook(grads: tuple[Tensor | None, ...]) -> None:
        target, grad = weak(), grads[nr]
        if target is None or grad is None or _of_many_passes(grad):
            return
        if grad.requires_grad:
            target.second_order = True
        grad, known = grad.detach(), target.grads.get(key)
        with torch.no_grad():
            target.grads[key] = grad if known is None else known + grad
        arrived()

    return node.register_prehook(hook)


def _of_many_passes(grad: Tensor) -> bool:
    """Whether it stands for the gradients of several passes at once, as under `is_grads_batched` or `vmap`."""
    functorch = torch._C._functorch  # type: ignore[attr-defined]
    return functorch.is_legacy_batchedtensor(grad) or functorch.is_batchedtensor(grad)


VIEWS = (
    "View",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Alias",
    "Clone",
    "Contiguous",
    "Transpose",
    "Permute",
    "ToCopy",
    "Stack",
    "Select",
    "Slice",
    "Split",
    "Unbind",
    "Cat",
    "Expand",
    "Unsafe",
)


def path_between(later: Tensor, goal: Node, limit: int = 64) -> list[str] | None:
    """Names of the operations from what the node `goal` made to `later`; None if no short path exists."""
    if later.grad_fn is None:
        return None
    seen, queue = {later.grad_fn}, [(later.grad_fn, [later.grad_fn.name()])]
    while queue and len(seen) < limit:
        node, names = queue.pop(0)
        if node is goal:
            return names[:-1]
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                queue.append((child, [*names, child.name()]))
    return None


def only_views(names: list[str]) -> bool:
    """Whether every operation merely rearranges its input."""
    return all(name.removesuffix("0").startswith(VIEWS) for name in names)


def same_values(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same numbers in the same order."""
    return a.numel() == b.numel() and torch.equal(a.detach().flatten(), b.detach().flatten())
