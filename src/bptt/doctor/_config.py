"""What a run is told: from the command line, else from `[tool.bptt]` in the nearest `pyproject.toml`.

[tool.bptt]
lag = 200
budget = 0.02
threshold = 1e-3
select = ["VG", "EG", "NF"]
ignore = ["VG102"]

[tool.bptt.options.VG101]
share = 0.6
"""

import math
import tomllib
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bptt._errors import BpttError
from bptt.rules import Options, codes, page


class ConfigError(BpttError):
    """A configuration that cannot be used; the message names the file and the entry."""


@dataclass(frozen=True)
class Config:
    """Settings of a run.

    Attributes:
        budget: share of the run's time for probes.
        threshold: credit below it counts as not reached.
        lag: the lag that the task needs, in steps.
        select: rules to ask, by code, name or family; all if empty.
        ignore: rules not to ask.
        options: thresholds by rule.

    Raises:
        ConfigError: a number out of range, or a rule that does not exist.

    Example:
        >>> Config(lag=0)
        Traceback (most recent call last):
        ...
        bptt.doctor._config.ConfigError: lag is 0, expected the number of steps that the task spans, at least 1
    """

    budget: float = 0.02
    threshold: float = 1e-3
    lag: int | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    options: dict[str, Options] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.budget >= 0:
            raise ConfigError(
                f"budget is {self.budget}, expected a share of the run's time of at least 0; "
                "0.02 allows 2 %, 0 probes the first update only"
            )
        if not 0 < self.threshold < 1:
            raise ConfigError(
                f"threshold is {self.threshold}, expected a number between 0 and 1, such as 1e-3"
            )
        if self.lag is not None and self.lag < 1:
            raise ConfigError(
                f"lag is {self.lag}, expected the number of steps that the task spans, at least 1"
            )
        try:
            codes(self.select, self.ignore)
        except BpttError as error:
            raise ConfigError(str(error)) from None

    def changed(self, **told: Any) -> "Config":
        """With what the command line says; None leaves an entry as it is."""
        return replace(self, **{key: value for key, value in told.items() if value is not None})


def read_config(start: Path) -> Config:
    """The configuration of the nearest `pyproject.toml` at or above a folder; the defaults if none has any.

    Raises:
        ConfigError: the file is not TOML, or an entry is not known or of the wrong type.
    """
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            return _read(path)
    return Config()


def _read(path: Path) -> Config:
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("bptt")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        if not _names_bptt(path):
            return Config()  # damaged, but nothing there is for us
        raise ConfigError(f"{path}: not to be read ({error})") from None
    if told is None:
        return Config()
    if not isinstance(told, dict):
        raise ConfigError(f"{path}: tool.bptt is {told!r}, expected a table [tool.bptt]")
    try:
        return Config(**{key: _value(key, value) for key, value in told.items()})
    except ConfigError as error:
        raise ConfigError(f"{path}, [tool.bptt]: {error}") from None


def _names_bptt(path: Path) -> bool:
    try:
        return b"tool.bptt" in path.read_bytes()
    except OSError:
        return False


def _value(key: str, value: Any) -> Any:
    known = [each.name for each in fields(Config)]
    if key not in known:
        near = get_close_matches(key, known, n=1, cutoff=0.0)[0]
        raise ConfigError(f"unknown entry {key!r}; the nearest is {near!r}")
    if key in ("select", "ignore"):
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ConfigError(
                f'{key} is {value!r}, expected a list of codes such as ["VG101", "EG"]'
            )
        return tuple(value)
    if key == "options":
        return {page(code).code: _thresholds(code, table) for code, table in _table(value)}
    kinds: tuple[type, ...] = (int,) if key == "lag" else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not _in_range(value):
        raise ConfigError(
            f"{key} is {repr(value)[:60]}, expected {'a whole number' if key == 'lag' else 'a number that is finite'}"
        )
    return value if key == "lag" else float(value)


def _in_range(value: float | int) -> bool:
    """Whether it is finite as a float, which TOML's `nan`, `inf` and whole numbers of any length need not be."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _table(value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise ConfigError(f"options is {value!r}, expected a table [tool.bptt.options.VG101]")
    try:
        for code in value:
            page(code)
    except BpttError as error:
        raise ConfigError(f"options: {error}") from None
    return list(value.items())


def _thresholds(code: str, told: Any) -> Options:
    known = page(code).options
    if not isinstance(told, dict):
        raise ConfigError(f"options.{code} is {told!r}, expected a table of numbers")
    for name, number in told.items():
        if name not in known:
            raise ConfigError(
                f"options.{code}: no threshold {name!r}; it has {', '.join(known) or 'none'}"
            )
        if isinstance(number, bool) or not isinstance(number, int | float) or not _in_range(number):
            raise ConfigError(
                f"options.{code}.{name} is {repr(number)[:60]}, expected a number that is finite"
            )
    return {name: float(number) for name, number in told.items()}
