"""Norms and samples of tensors, for sentinels: few calls into torch, one read for all."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

SAMPLE = 2048
"""Entries of a weight that are compared before and after a step."""


def norms(tensors: Sequence[Tensor]) -> list[float]:
    """The Euclidean norm of each.

    Example:
        >>> norms([torch.tensor([3.0, 4.0]), torch.zeros(2, 2)])
        [5.0, 0.0]
    """
    dense = [each.coalesce()._values() if each.is_sparse else each for each in tensors]
    if not dense:
        return []
    places = {each.device for each in dense}
    if len(places) > 1:
        return [float(each.norm()) for each in dense]
    found = torch._foreach_norm(dense)  # pyright: ignore[reportPrivateImportUsage]
    if places.pop().type == "cpu":  # nothing to wait for
        return [float(each) for each in found]
    return torch.stack(list(found)).tolist()


def joint_norm(tensors: Sequence[Tensor]) -> float:
    """The Euclidean norm of all together; where its squares overflow, it is taken in float64.

    Example:
        >>> f"{joint_norm([torch.full((4,), 1e30), torch.zeros(3)]):.3g}"
        '2e+30'
    """
    norm = math.hypot(*norms(tensors))
    if math.isfinite(norm):
        return norm
    dense = [each.coalesce()._values() if each.is_sparse else each for each in tensors]
    return math.hypot(*(float(torch.linalg.vector_norm(g, dtype=torch.float64)) for g in dense))


def sample(weight: Tensor) -> Tensor:
    """Every so manieth entry, a view where it can be one."""
    weight = weight.detach()
    if weight.is_sparse:
        return weight.coalesce()._values().flatten()[:SAMPLE]
    flat = weight.reshape(-1)
    return flat[:: max(1, flat.numel() // SAMPLE)]


def can_train(weight: Tensor) -> bool:
    """Whether it is of a type that has gradients; an optimizer may hold whole numbers, too."""
    return weight.is_floating_point() or weight.is_complex()


def copies(weights: Sequence[Tensor]) -> list[Tensor]:
    """Samples that stay as they are while the weights change."""
    return [sample(each).clone() for each in weights]


def moves(before: Sequence[Tensor], weights: Sequence[Tensor]) -> tuple[list[float], list[float]]:
    """`(sizes, steps)`: the norm of each sample before, and of what was added to it."""
    pairs = list(zip(before, weights, strict=False))
    steps = [sample(now) - old for old, now in pairs]
    found = norms([*(old for old, _ in pairs), *steps])
    return found[: len(pairs)], found[len(pairs) :]


def is_power_of_two(factor: float) -> bool:
    """Whether it is one, as loss scalers use them."""
    if not 0 < factor < math.inf:
        return False
    exponent = math.log2(factor)
    return abs(exponent - round(exponent)) < 1e-3
