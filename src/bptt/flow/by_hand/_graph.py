"""A snapshot of the autograd graph below a loss: numbered nodes, and which parameters each of them uses.

Children come before parents in the numbering. A node is *weight-like* if only parameters lie below it (a transposed, a
masked or a normalised weight); any other node that reads a weight-like one is a *use* of those parameters.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bptt._errors import UnmeasurableError
from bptt.flow.by_hand._saved import saved

LIMIT = 400_000
"""Nodes that are looked at, at most: about a second's work."""

PRODUCTS = ("Addmm", "Mm", "Bmm", "Baddbmm", "Mv", "Addmv", "Addr", "Convolution", "Linear", "Dot")
LOOKUPS = ("Embedding", "Index", "Gather", "Take", "Cat", "Stack")
INLETS = (*PRODUCTS, *LOOKUPS, "Add", "Sub")
"""Operations through which something new enters a step where one of their inputs is not part of the graph."""


class Outlet(NamedTuple):
    """One output of a node, as numbers: a tensor of the forward pass."""

    node: int
    nr: int


NONE = Outlet(-1, 0)


class Graph:
    """The nodes below the roots. `edges[i]` are the inputs of node i, `NONE` where an input has no graph."""

    def __init__(self, roots: Sequence[Any]) -> None:
        self.nodes: list[Any] = []
        self.edges: list[list[Outlet]] = []
        self._number(roots)
        self.names = [node.name().split("::")[-1].split("Backward")[0] for node in self.nodes]
        self._inlets = self._scaled()
        self.leaves: dict[int, Tensor] = {}
        self._bits: dict[int, int] = {}
        count = len(self.nodes)
        self.weights = [0] * count
        """Bits of the parameters below a weight-like node; 0 for every other node."""
        self.uses = [0] * count
        """Bits of the parameters that a node uses."""
        self.below = [0] * count
        """Bits of the parameters that are used at nodes below a node."""
        self._propagate()

    def _number(self, roots: Sequence[Any]) -> None:
        index: dict[Any, int] = {}
        open_: dict[Any, Any] = {}
        stack = list(roots)
        while stack:
            node = stack[-1]
            if node in index:
                stack.pop()
                continue
            if node not in open_:
                open_[node] = node.next_functions
                fresh = [c for c, _ in open_[node] if c is not None and c not in index]
                if fresh:
                    stack += fresh
                    continue
            stack.pop()
            index[node] = len(self.nodes)
            self.nodes.append(node)
            children = open_.pop(node)
            self.edges.append([NONE if c is None else Outlet(index[c], nr) for c, nr in children])
            if len(self.nodes) > LIMIT:
                raise UnmeasurableError(f"the graph below the loss has more than {LIMIT} nodes")
        self.index = index

    def _scaled(self) -> dict[int, set[int]]:
        """By leaf, where the data lies that its entries are multiplied with: an input of one feature, times its weight.

        A mask lies in one place, or has the weight's own size; data comes anew at each step, and for many samples.
        """
        places: dict[int, set[int]] = {}
        for i, name in enumerate(self.names):
            if name == "Mul" and NONE in self.edges[i]:
                leaf = self._leaf_below(i)
                factor = None if leaf is None else _factor(self.nodes[i])
                if leaf is not None and factor is not None and self._numbers(i) > leaf.numel():
                    places.setdefault(id(leaf), set()).add(factor.data_ptr())
        return places

    def _leaf_below(self, i: int) -> Tensor | None:
        """The only leaf below a node, along a line of nodes with one input each."""
        while self.names[i] != "AccumulateGrad":
            below = [edge.node for edge in self.edges[i] if edge.node >= 0]
            if len(below) != 1:
                return None
            i = below[0]
        return self.nodes[i].variable

    def _numbers(self, i: int) -> int:
        return self.shape(Outlet(i, 0)).numel()

    def _propagate(self) -> None:
        weights, uses, below = self.weights, self.uses, self.below
        for i, name in enumerate(self.names):
            if name == "AccumulateGrad":
                weights[i] = self._bit(self.nodes[i].variable)
                continue
            mine = under = 0
            only = True
            for child, _ in self.edges[i]:
                if child < 0:
                    continue
                if weights[child]:
                    mine |= weights[child]
                else:
                    only = False
                    under |= below[child] | uses[child]
            if mine and only and not self._lets_in(i, mine):
                weights[i] = mine
            else:
                uses[i], below[i] = mine, under

    def _bit(self, leaf: Tensor) -> int:
        bit = self._bits.setdefault(id(leaf), 1 << len(self._bits))
        self.leaves[bit] = leaf
        return bit

    def _lets_in(self, i: int, mine: int) -> bool:
        """Whether data enters at a node that has only leaves below it."""
        name = self.names[i]
        if name.startswith(("Embedding", "Index", "Gather")):
            return True
        if name == "Mul" and NONE in self.edges[i]:
            leaf = self._leaf_below(i)
            many = leaf is not None and len(self._inlets.get(id(leaf), ())) > 1
            return many and leaf is not None and self._numbers(i) > leaf.numel()
        if name.startswith(PRODUCTS):
            return NONE in self.edges[i] or not self._all_parameters(mine)
        return NONE in self.edges[i] and name.startswith(LOOKUPS)

    def _all_parameters(self, mine: int) -> bool:
        return all(isinstance(leaf, nn.Parameter) for leaf in self.parameters(mine))

    def parameters(self, bits: int) -> list[Tensor]:
        """The leaves that these bits stand for."""
        return [leaf for bit, leaf in self.leaves.items() if bit & bits]

    def bits(self, tensors: Sequence[Tensor]) -> int:
        """The bits of those of these tensors that are leaves of the graph."""
        found = 0
        for tensor in tensors:
            found |= self._bits.get(id(tensor), 0)
        return found

    def history(self, i: int, place: int) -> bool:
        """Whether an edge leads to what a buffer held before a step was written into it."""
        return place == 0 and self.names[i] == "CopySlices"

    def shape(self, outlet: Outlet) -> torch.Size:
        """Shape of the tensor."""
        return torch.Size(self.nodes[outlet.node]._input_metadata[outlet.nr].shape)

    def recurrent(self) -> list[int]:
        """Groups of parameters, as bits, whose uses depend on earlier uses of the same group.

        Two parameters are in one group if uses of each depend on uses of the other: the gates of a cell, but not the
        layers of a stack, where only the upper depends on the lower. The groups that are used first come first.
        """
        found = 0
        for mine, under in zip(self.uses, self.below, strict=True):
            found |= mine & under
        if not found:
            return []
        reach = {bit: 0 for bit in self.leaves if bit & found}
        for mine, under in zip(self.uses, self.below, strict=True):
            if mine & found:
                for bit in reach:
                    if bit & mine:
                        reach[bit] |= under
        groups: list[int] = []
        taken = 0
        for bit, under in reach.items():
            if not bit & taken:
                group = sum(other for other in reach if other & under and bit & reach[other])
                groups.append(group)
                taken |= group
        return sorted(
            groups, key=lambda group: next(i for i, b in enumerate(self.uses) if b & group)
        )


def _factor(node: Any) -> Tensor | None:
    """What a multiplication multiplied its one input with that has a graph."""
    factors = (saved(node, "_saved_self"), saved(node, "_saved_other"))
    return next((factor for factor in factors if isinstance(factor, Tensor)), None)
