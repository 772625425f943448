"""The public face: what can be imported without an underscore is documented and shows how to use it."""

import importlib
import inspect
import pkgutil

import pytest

import bptt


def public_modules() -> list[str]:
    """Every module of bptt written in Python whose path has no private part."""
    names = ["bptt"]
    for finder, name, _ in pkgutil.walk_packages(bptt.__path__, prefix="bptt."):
        spec = finder.find_spec(name, None)
        # A shared library of the native build lies in the package too, and is no module.
        written = spec is not None and str(spec.origin).endswith(".py")
        if written and not any(part[0] == "_" for part in name.split(".")):
            names.append(name)
    return names


def exported() -> list[tuple[str, str]]:
    """Every public class and function of bptt's own, by the public module it is imported from."""
    pairs: list[tuple[str, str]] = []
    for name in public_modules():
        module = importlib.import_module(name)
        for each in sorted({*vars(module), *getattr(module, "__all__", [])}):
            thing = getattr(module, each)  # also proves that __all__ lists only what is there
            own = getattr(thing, "__module__", "").split(".")[0] == "bptt"
            if each[0] != "_" and own and (inspect.isclass(thing) or inspect.isfunction(thing)):
                pairs.append((name, each))
    return pairs


def first_paragraph(thing: object) -> str:
    return (inspect.getdoc(thing) or "").split("\n\n")[0]


@pytest.mark.parametrize("name", public_modules())
def test_a_public_module_says_what_it_is(name: str) -> None:
    first = first_paragraph(importlib.import_module(name))
    assert first.endswith((".", ":")), f"{name}'s docstring starts with {first!r}"


@pytest.mark.parametrize(("module", "name"), exported(), ids=".".join)
def test_a_public_name_is_documented(module: str, name: str) -> None:
    first = first_paragraph(getattr(importlib.import_module(module), name))
    assert first.endswith((".", ":")), f"{module}.{name}'s docstring starts with {first!r}"


@pytest.mark.parametrize("name", [name for module, name in exported() if module == "bptt"])
def test_a_function_of_the_facade_shows_an_example(name: str) -> None:
    thing = getattr(bptt, name)
    if inspect.isfunction(thing):
        assert ">>>" in (inspect.getdoc(thing) or ""), f"bptt.{name} has no example"


def test_the_facade_only_reexports() -> None:
    assert [name for module, name in exported() if module == "bptt"]
    for module, name in exported():
        if module == "bptt":
            assert getattr(bptt, name).__module__ != "bptt", f"bptt.{name} is made in the façade"
