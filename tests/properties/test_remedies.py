"""Remedies on any model, told any number: refused and nothing touched, or applied, kept to and undone to the bit."""

import inspect
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from bptt._errors import BpttError
from bptt.remedies import Remedy, table
from everything import everything
from properties.drawn import Draft, Net, drafts, refused, squared, times

pytestmark = pytest.mark.filterwarnings("ignore:dropout option adds dropout after all but last")

REMEDIES = table()


def _of(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of the type that an argument has, whether they make sense or not."""
    number = st.floats(1e-6, 10) | st.floats()
    of: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        str: st.sampled_from(["zero", "last", "forward"]) | st.text(max_size=4),
        int: st.integers(-2, 400),
        float: number,
        int | None: st.none() | st.integers(-2, 400),
        int | float: number | st.integers(-3, 300),
        int | float | None: st.none() | number | st.integers(-3, 300),
    }
    return of.get(annotation, st.none())


def _told(remedy: Remedy) -> st.SearchStrategy[dict[str, Any]]:
    """Arguments for it; those with a default are given now and then."""
    named = inspect.signature(remedy.function).parameters
    of = {name: _of(named[name].annotation) for name in remedy.arguments}
    free = {name for name in of if named[name].default is not inspect.Parameter.empty}
    needed = {name: each for name, each in of.items() if name not in free}
    return st.fixed_dictionaries(needed, optional={name: of[name] for name in free})


TOLD = {name: _told(remedy) for name, remedy in REMEDIES.items()}
cures = st.sampled_from(list(REMEDIES)).flatmap(
    lambda name: st.tuples(st.just(REMEDIES[name]), TOLD[name])
)


def training(net: Net) -> torch.optim.Optimizer:
    """An optimizer with momentum, and gradients of a pass that has been."""
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    squared(net(net.x(4, 2))).backward()
    optimizer.step()
    return optimizer


@times(150)
@given(
    drafts(),
    cures,
    st.sampled_from(["", "", "rnn", "rnn.l0", "rnn.l1_reverse", "readout"]),
    st.booleans(),
)
def test_a_remedy_is_refused_or_undone_to_the_bit(
    draft: Draft, cure: tuple[Remedy, dict[str, Any]], site: str, owned: bool
) -> None:
    remedy, args = cure
    net = Net(draft)
    optimizer = training(net)
    before = everything(net, optimizer)
    try:
        change = remedy.apply(net, optimizer if owned else None, site=site, **args)
    except BpttError as error:
        refused(error)
    else:
        assert change.active
        assert change.lines
        assert "nan" not in str(change)
        change.undo()
    assert everything(net, optimizer) == before


@times(100)
@given(drafts(), cures, st.integers(1, 6), st.integers(1, 3))
def test_a_treated_model_trains_on(
    draft: Draft, cure: tuple[Remedy, dict[str, Any]], steps: int, batch: int
) -> None:
    """Its outputs have the shape and the dtype that they had."""
    remedy, args = cure
    assume(
        remedy.name not in ("batch_first", "last_valid", "keep_output", "ignore_padding")
    )  # other shapes on purpose
    net = Net(draft)
    optimizer = training(net)
    x = net.x(steps, batch)
    expected = net(x)
    try:
        change = remedy.apply(net, optimizer, **args)
    except BpttError:
        return
    for _ in range(2):
        optimizer.zero_grad()
        y = net(x)
        assert y.shape == expected.shape
        assert y.dtype == expected.dtype
        squared(y).backward()
        optimizer.step()
    change.undo()
    assert net(x).shape == expected.shape


@times(60)
@given(
    drafts(),
    st.sampled_from([name for name, each in REMEDIES.items() if each.kind != "clipping"]),
    st.data(),
)
def test_a_remedy_that_is_called_by_itself_refuses_with_a_sentence(
    draft: Draft, name: str, data: st.DataObject
) -> None:
    """As the function that users import, without the table's look at whether it fits."""
    net = Net(draft)
    before = everything(net, torch.optim.SGD(net.parameters()))
    args = data.draw(TOLD[name])
    try:
        change = REMEDIES[name].function(net, **args)
    except BpttError as error:
        refused(error)
    else:
        change.undo()
    after = everything(net, torch.optim.SGD(net.parameters()))
    assert after | {"optimizer": 0} == before | {"optimizer": 0}
