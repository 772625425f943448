"""tools/lock.py: what pip reports becomes pins with hashes; a file without one is refused."""

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from scripts import ROOT


@pytest.fixture
def lock() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lock", ROOT / "tools" / "lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def item(name: str, version: str, **hashes: str) -> dict[str, Any]:
    info = {"url": f"https://example.org/{name}", "archive_info": {"hashes": hashes}}
    return {"metadata": {"name": name, "version": version}, "download_info": info}


def test_a_pin_is_the_file_that_pip_takes(lock: ModuleType) -> None:
    told = {
        "install": [
            item("torch", "2.13.0+cpu", sha256="b" * 64),
            item("Attrs", "1", sha256="a" * 64),
        ]
    }
    assert lock.lines(told) == [
        f"Attrs==1 --hash=sha256:{'a' * 64}",
        f"torch==2.13.0+cpu --hash=sha256:{'b' * 64}",
    ]


def test_a_file_without_a_hash_is_refused(lock: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"a 1 has no SHA-256: https://example\.org/a"):
        lock.lines({"install": [item("a", "1", md5="c")]})
