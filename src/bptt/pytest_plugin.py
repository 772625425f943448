"""Pytest: assertions on how far a model's gradient reaches, for users' own test suites.

Installed with bptt; nothing has to be configured. In a test:

    from bptt.pytest_plugin import assert_healthy, assert_horizon

    def test_memory(model, batch):
        assert_horizon(model, batch, at_least=200)

or with a marker, which gives the test's fixtures of those names to `assert_horizon` before the test runs:

    @pytest.mark.bptt_horizon(at_least=200)
    def test_memory(model, batch): ...
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bptt.doctor import Diagnosis
    from bptt.flow import Flow

MARKER = "bptt_horizon"


def assert_horizon(
    model: "nn.Module",
    batch: Any,
    *,
    at_least: int,
    site: str | None = None,
    loss: "Callable[[Any], Tensor] | None" = None,
    threshold: float = 1e-3,
    lengths: "Tensor | None" = None,
) -> "Flow":
    """Fail unless the gradient reaches `at_least` steps back at every site, or at the one that is named.

    Args:
        model: any module that `bptt.measure` can look at.
        batch: its input: one value, a tuple of positional or a mapping of named arguments.
        at_least: the lag that has to be reached, in steps.
        site: name of the site to look at; None for all of them.
        loss: from the output to a scalar; None takes the sum of the output at the last step.
        threshold: what has to be left of the gradient.
        lengths: `[B]` steps of each sample of a padded batch.

    Raises:
        AssertionError: a site falls short, or its horizon could not be measured.
        ValueError: `at_least` below 1, or a site that does not exist.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> flow = assert_horizon(torch.nn.GRU(2, 8), torch.randn(50, 1, 2), at_least=5)
        >>> assert_horizon(torch.nn.GRU(2, 8), torch.randn(50, 1, 2), at_least=40)
        Traceback (most recent call last):
        ...
        AssertionError: l0: the gradient reaches ... of 50 steps, and 40 are needed (threshold 0.001)
    """
    from bptt._errors import BpttError
    from bptt.flow import measure

    __tracebackhide__ = True
    if at_least < 1:
        raise BpttError(f"at_least is {at_least}, expected a number of steps, at least 1")
    flow = measure(
        model, batch, loss=loss or last_step(model), threshold=threshold, lengths=lengths
    )
    short = []
    for each in [flow[site]] if site is not None else list(flow):
        if each.horizon is None:
            short.append(f"{each.name}: the horizon could not be measured")
        elif each.horizon < at_least:
            short.append(
                f"{each.name}: the gradient reaches {each.reach()}, and {at_least} are needed "
                f"(threshold {threshold:g})"
            )
    if not len(flow):
        short.append("; ".join(map(str, flow.notes)) or "nothing was measured")
    if short:
        raise AssertionError("\n".join(short))
    return flow


def assert_healthy(
    model: "nn.Module", batch: Any, *, loss: "Callable[[Any], Tensor] | None" = None, **options: Any
) -> "Diagnosis":
    """Fail on a finding of severity error or warning; `options` are those of `bptt.diagnose`.

    Raises:
        AssertionError: there is one; the message holds all of them.

    Example:
        >>> import torch
        >>> assert_healthy(torch.nn.LSTM(4, 16), torch.randn(12, 2, 4)).healthy
        True
    """
    from bptt.doctor import diagnose

    __tracebackhide__ = True
    diagnosis = diagnose(model, batch, loss=loss or last_step(model), **options)
    if not diagnosis.healthy:
        raise AssertionError(str(diagnosis))
    return diagnosis


def last_step(model: "nn.Module") -> "Callable[[Any], Tensor]":
    """The sum of a model's output at the last step; of the whole output where it has no axis of time."""
    batch_first = getattr(model, "batch_first", False)

    def loss(output: Any) -> "Tensor":
        while isinstance(output, (tuple, list)):
            output = output[0]
        if output.dim() < 3:
            return output.sum()
        return (output[:, -1] if batch_first else output[-1]).sum()

    return loss


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(at_least, site=None, threshold=1e-3): before the test, bptt.assert_horizon on its fixtures "
        "`model` and `batch`",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Look at the marked test's model before the test itself runs."""
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        return
    given = getattr(item, "funcargs", {})
    missing = [name for name in ("model", "batch") if name not in given]
    if missing:
        pytest.fail(
            f"{MARKER}: the test has no fixture {' and no fixture '.join(missing)}; it needs `model` and `batch`",
            pytrace=False,
        )
    if "at_least" not in marker.kwargs:
        pytest.fail(f"{MARKER}: say how far, as in {MARKER}(at_least=200)", pytrace=False)
    options = {"loss": given["loss"]} if "loss" in given else {}
    try:
        assert_horizon(given["model"], given["batch"], **options, **marker.kwargs)
    except AssertionError as short:
        pytest.fail(str(short), pytrace=False)
