"""Ray: sentences for what cannot be had. That it gives the right numbers is tested with `bptt sweep`."""

import socket

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


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_nobody_answers(form: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = form.format(taken.getsockname()[1])
    with pytest.raises(BpttError, match=f"no Ray at {address}: .*expected the address of a"):
        next(ray_sweep.each(abs, [1], address=address))
