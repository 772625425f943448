"""What a test's monitor and repairs leave in torch's tables does not reach the next one."""

from collections.abc import Iterator

import pytest
from torch.nn.modules import module as global_hooks
from torch.optim.optimizer import (
    _global_optimizer_post_hooks,
    _global_optimizer_pre_hooks,
)

import repairing


@pytest.fixture(autouse=True)
def _no_hook_stays() -> Iterator[None]:
    yield
    repairing.undo_all()
    assert not global_hooks._global_forward_hooks
    assert not global_hooks._global_forward_pre_hooks
    assert not _global_optimizer_pre_hooks
    assert not _global_optimizer_post_hooks
