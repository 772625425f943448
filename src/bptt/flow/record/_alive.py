"""Living objects of the process by their type: modules, tensors, data loaders that nobody handed to us."""

import gc
from collections.abc import Iterator
from functools import partial
from itertools import chain, compress
from typing import Any


def alive(*kinds: type) -> list[Any]:
    """Every living object of these types and those below them, as far as the garbage collector knows it.

    Among all objects are tuples that other threads are still filling; `tuple(generator)` raises a `SystemError` there
    if somebody else holds its tuple. So no other thread may run as long as all are held: from asking the collector to
    letting go of what it gave, this is one call of compiled iterators, without a step of Python's in between. Types are
    compared, not instances: `isinstance` would wake lazy proxies.

    Example:
        >>> held = {1, 2, 3}.__iter__()
        >>> any(each is held for each in alive(type(held)))
        True
    """
    wanted = {id(each) for kind in kinds for each in _with_subclasses(kind)}
    held: list[list[Any]] = []  # what the collector gave, once the first of these is run
    fill = map(held.extend, (map(gc.get_objects, (None,)),))
    types = map(partial(map, id), map(partial(map, type), held))
    found = map(compress, held, map(partial(map, wanted.__contains__), types))
    drop = map(list.clear, (held,))
    on = gc.isenabled()
    gc.disable()  # a collection runs callbacks
    try:
        return list(chain(filter(None, fill), chain.from_iterable(found), filter(None, drop)))
    finally:
        if on:
            gc.enable()


def _with_subclasses(kind: type) -> Iterator[type]:
    yield kind
    for each in type.__subclasses__(kind):
        yield from _with_subclasses(each)
