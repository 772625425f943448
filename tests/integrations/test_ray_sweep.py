"""Ray: sentences for what cannot be had. That it gives the right numbers is tested with `bptt sweep`."""

import pytest

from bptt import BpttError
from bptt.integrations import ray_sweep


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_sweep, "installed", lambda: False)
    with pytest.raises(BpttError, match=r"Ray is not installed: pip install 'bptt\[sweep\]'"):
        next(ray_sweep.each(abs, [1]))


@pytest.mark.parametrize(("address", "cores"), [("local", 0), ("auto", 2)])
def test_cores_that_make_no_sense(address: str, cores: int) -> None:
    with pytest.raises(BpttError, match=f"cores={cores}: expected"):
        next(ray_sweep.each(abs, [1], address=address, cores=cores))
