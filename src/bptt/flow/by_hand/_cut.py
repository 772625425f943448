"""The fewest tensors that separate one step from the one before: a smallest vertex cut.

By Menger's theorem it has as many tensors as there are ways down that share none. Those are found as a maximal flow:
every tensor lets one way through, each new way may undo parts of earlier ones, and where the last search gets stuck is
the cut (Ford and Fulkerson 1956).
"""

from collections.abc import Callable

from bptt.flow.by_hand._graph import Outlet

Place = tuple[Outlet | None, bool]
"""A tensor before (False) or after (True) a way has passed through it; None is where all ways begin or end."""

BEGIN: Place = (None, False)
END: Place = (None, True)
MANY = 1 << 30

Residual = dict[Place, dict[Place, int]]


def narrowest(
    starts: list[Outlet], ends: set[Outlet], below: Callable[[Outlet], list[Outlet]]
) -> list[Outlet]:
    """A smallest set of tensors that every way down from `starts` to `ends` passes.

    Of several, the one nearest to `starts`. Tensors in both must be in it; where nothing lies below, a way ends too.

    Example:
        >>> a, b, h, old = (Outlet(n, 0) for n in (9, 8, 5, 1))
        >>> inputs = {a: [h], b: [h], h: [old], old: []}
        >>> narrowest([a, b], {old}, inputs.__getitem__) == [h]
        True
    """
    both = [outlet for outlet in starts if outlet in ends]
    room = _network([outlet for outlet in starts if outlet not in ends], ends, below)
    while END in (came := _search(room)):
        here = END
        while here != BEGIN:
            earlier = came[here]
            room[earlier][here] -= 1
            room[here][earlier] += 1
            here = earlier
    return both + [
        o for o, passed in came if o is not None and not passed and (o, True) not in came
    ]


def _network(
    starts: list[Outlet], ends: set[Outlet], below: Callable[[Outlet], list[Outlet]]
) -> Residual:
    room: Residual = {BEGIN: {}, END: {}}

    def join(a: Place, b: Place, capacity: int) -> None:
        room.setdefault(a, {})[b] = capacity
        room.setdefault(b, {}).setdefault(a, 0)

    stack, seen = list(starts), set(starts)
    for outlet in starts:
        join(BEGIN, (outlet, False), MANY)
    while stack:
        outlet = stack.pop()
        join((outlet, False), (outlet, True), 1)
        inputs = below(outlet)
        if not inputs or any(each in ends for each in inputs):
            join((outlet, True), END, MANY)
        for each in inputs:
            if each not in ends:
                join((outlet, True), (each, False), MANY)
                if each not in seen:
                    seen.add(each)
                    stack.append(each)
    return room


def _search(room: Residual) -> dict[Place, Place]:
    """All places that can be reached where there is room, and from where; it stops at the end."""
    came: dict[Place, Place] = {}
    line = [BEGIN]
    for here in line:
        for there, capacity in room[here].items():
            if capacity and there not in came and there != BEGIN:
                came[there] = here
                if there == END:
                    return came
                line.append(there)
    return came
