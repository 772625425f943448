"""Names of sites: the path of a module from the model that owns it, as in the state dict."""

import weakref

from torch import nn

from bptt.flow.record._alive import alive


class Names:
    """Names modules by their path; with no model given, the owner is looked for among all living modules."""

    def __init__(self, model: nn.Module | None = None) -> None:
        self._known: dict[int, tuple[weakref.ref[nn.Module], str]] = {}
        self._met: list[weakref.ref[nn.Module]] = []
        self._search = model is None
        if model is not None:
            self._add(model)

    def meet(self, module: nn.Module) -> None:
        """A module that will be named later: two models whose paths clash are then both named after their classes."""
        if self._path(module) is None and all(weak() is not module for weak in self._met):
            self._met.append(weakref.ref(module))

    def __call__(self, module: nn.Module) -> str:
        """The module's path, `""` for a model that is itself the recurrent module."""
        if self._path(module) is None:
            self.meet(module)
            self._name_all() if self._search else self._add(module)
        return self._path(module) or ""

    def known(self, module: nn.Module) -> str | None:
        """The name that the module has by now, None if nobody has asked for it."""
        return self._path(module)

    def _name_all(self) -> None:
        """Name the modules that were met, by their owners."""
        alive = [module for weak in self._met if (module := weak()) is not None]
        parents, self._met = _parents(), []
        owners = {id(owner): owner for owner in (_owner(module, parents) for module in alive)}
        paths = [
            name
            for owner in owners.values()
            for name, each in owner.named_modules()
            if any(each is module for module in alive)
        ]
        for owner in owners.values():
            self._add(owner, clash=len(set(paths)) < len(paths))

    def _path(self, module: nn.Module) -> str | None:
        weak, path = self._known.get(id(module), (None, ""))
        return path if weak is not None and weak() is module else None

    def _add(self, model: nn.Module, clash: bool = False) -> None:
        fresh = [(name, each) for name, each in model.named_modules() if self._path(each) is None]
        taken = {path for weak, path in self._known.values() if weak() is not None}
        clash = clash or any(name in taken for name, _ in fresh)
        for name, module in fresh:
            path = f"{type(model).__name__}.{name}".rstrip(".") if clash else name
            path = _unique(path, taken)
            self._known[id(module)] = (weakref.ref(module), path)
            taken.add(path)


def _unique(path: str, taken: set[str]) -> str:
    if path not in taken:
        return path
    return next(name for n in range(2, len(taken) + 3) if (name := f"{path}#{n}") not in taken)


def _parents() -> dict[int, nn.Module]:
    """Which living module holds which, by the held module's id."""
    parents: dict[int, nn.Module] = {}
    for thing in alive(nn.Module):
        if "_modules" in thing.__dict__:
            for child in thing.__dict__["_modules"].values():
                if child is not None:
                    parents.setdefault(id(child), thing)
    return parents


def _owner(module: nn.Module, parents: dict[int, nn.Module]) -> nn.Module:
    """The outermost living module that holds this one."""
    top, seen = module, {id(module)}
    while id(top) in parents and id(parents[id(top)]) not in seen:
        top = parents[id(top)]
        seen.add(id(top))
    return top


def site_name(path: str, layer: int, reverse: bool) -> str:
    """`encoder.rnn.l0_reverse`."""
    own = f"l{layer}_reverse" if reverse else f"l{layer}"
    return f"{path}.{own}" if path else own
