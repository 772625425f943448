"""NaN and infinity at random updates, steps, samples and gates are found and named."""

import pytest

from injecting import drawn, wrong


@pytest.mark.parametrize("seed", range(24))
def test_what_is_not_finite_is_named_where_it_was_put(seed: int) -> None:
    assert wrong(drawn(seed)) is None
