"""A read-only mapping from names to what was measured there, which says what names there are."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from bptt._errors import BpttError

V = TypeVar("V")


class BySite(Mapping[str, V]):
    """Results by name, in the model's order. `aliases` are further names for the same results."""

    def __init__(self, found: dict[str, V], aliases: dict[str, str] | None = None) -> None:
        self._found, self._aliases = found, aliases or {}

    @property
    def sites(self) -> list[str]:
        """The names, in the model's order."""
        return list(self._found)

    def __getitem__(self, name: str) -> V:
        name = self._aliases.get(name, name)
        if name not in self._found:
            raise BpttError(f"no site {name!r}; the sites are {', '.join(self.sites) or 'none'}")
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._found or name in self._aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}: {value}" for name, value in self._found.items())
        return f"{{{inside}}}"

    def plot(self, ax: Any = None, *, site: str | None = None, **told: Any) -> Any:
        """Draw what was measured at every site, or at one, into one picture.

        Args:
            ax: matplotlib's axes; None makes new ones with `pyplot`.
            site: the name of one site; None draws all.
            told: what the results' own `plot` takes: for `bptt.spectrum` the picture, `what=`.

        Returns:
            The axes.

        Raises:
            BpttError: matplotlib is not installed, or no such site or picture.

        Example:
            >>> import torch, bptt
            >>> from matplotlib.figure import Figure
            >>> found = bptt.spectrum(torch.nn.RNN(2, 16), torch.randn(10, 1, 2))
            >>> axes = found.plot(Figure().add_subplot())
            >>> len(axes.collections[0].get_offsets()), axes.get_aspect()
            (16, 1.0)
        """
        for name in self._found if site is None else [site]:
            value: Any = self[name]
            ax = value.plot(ax, **told)
        return ax

    def _repr_html_(self) -> str:
        from bptt.flow.picture._page import of_parts

        return of_parts(self)
