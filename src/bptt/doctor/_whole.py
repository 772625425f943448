"""All that a script trains, held together as one module."""

from torch import Tensor, nn

from bptt.doctor._loops import name_of
from bptt.flow.record._names import Names


class Whole(nn.Module):
    """A script's modules and loose parameters, held together for the time that a remedy looks at them."""

    def __init__(self, tops: list[nn.Module], tensors: list[Tensor], names: Names) -> None:
        super().__init__()
        for n, top in enumerate(tops):
            self.add_module(str(n), top)
        known = {id(p) for p in self.parameters()}
        for p in tensors:
            if id(p) not in known:
                known.add(id(p))
                name = name_of(p, names).rpartition(".")[2]  # a dot would be a path
                name = "weight" if not name or " " in name else name
                taken = name in self._parameters or hasattr(self, name)
                # Written past `register_parameter`, which takes no plain tensor: scripts train those, too.
                self._parameters[f"{name}_{len(known)}" if taken else name] = p  # type: ignore[assignment]
