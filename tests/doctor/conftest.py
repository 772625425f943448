"""What a test's repairs leave in torch's tables does not reach the next one."""

from collections.abc import Iterator

import pytest

import repairing


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    yield
    repairing.undo_all()
