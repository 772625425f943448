"""Loads the compiled library, once, when it is first asked for."""

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, library

from bptt._errors import BpttError

LIBRARY = Path(__file__).with_name("libbptt.so")


@cache
def available() -> bool:
    """Whether the compiled recurrence is here and loads; says so once if it is not."""
    try:
        torch.ops.load_library(LIBRARY)
    except OSError as fault:
        reason = (
            "was not built"
            if not LIBRARY.exists()
            else f"does not load: {fault.__cause__ or fault}"
        )
        warnings.warn(
            f"bptt's compiled recurrence {reason}. Layers run on torch's own kernels, and on slow reference loops "
            "where torch cannot do what was asked. Reinstall bptt with a C++17 compiler at hand to have it.",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    _register_fakes()
    return True


def present() -> bool:
    """Whether the compiled recurrence can be used; unlike `available`, without a word if it was not built."""
    return LIBRARY.exists() and available()


def require() -> None:
    """Raise unless the compiled recurrence is here."""
    if not available():
        raise BpttError(
            "backend='native' was asked for, but the compiled recurrence is not here. Install bptt from a wheel or "
            "with a C++17 compiler, or give backend='auto'."
        )


@cache
def isa() -> str:
    """Instruction set in use: `"baseline"`, `"avx2"`, `"avx512"` or `"avx512bf16"`; BPTT_ISA forces one."""
    require()
    return ("baseline", "avx2", "avx512", "avx512bf16")[torch.ops.bptt.isa()]


@cache
def fast_torch_products() -> bool:
    """Whether torch multiplies matrices at full speed on this processor: MKL does on Intel's alone."""
    return torch.ops.bptt.fast_torch_products()


def _register_fakes() -> None:
    """Shapes of the operators' outputs, for torch.compile and for `opcheck`."""

    @library.register_fake("bptt::layer")
    def layer(
        cell: int, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Any, b_hh: Any, h0: Any, c0: Any, T: int,
        B: int, offset: Any, reverse: bool, tokens: bool, save: bool, bf16: bool,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        N, (width, H) = x.shape[0], w_hh.shape

        def make(*shape: int | torch.SymInt, wanted: bool = True) -> Tensor:
            return w_hh.new_empty(shape if wanted else (0,))

        return (
            make(N, H),
            make(B, H),
            make(B, H, wanted=cell == 3),
            make(N, width, wanted=save and cell >= 2),
            make(N, H, wanted=save and cell == 3),
            make(N, H, wanted=save and cell == 2),
        )

    @library.register_fake("bptt::layer_backward")
    def layer_backward(
        cell: int, x: Tensor, w_ih: Tensor, w_hh: Tensor, h0: Any, c0: Any, y: Tensor, gates: Tensor,
        c_all: Tensor, hn: Tensor, dy: Any, dh: Any, dc: Any, T: int, B: int, offset: Any, reverse: bool,
        tokens: bool, clip: int, limit: float, norms: bool, full: bool, bf16: bool, wanted: int,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        (N, H), width = y.shape, w_hh.shape[0]

        def make(*shape: int | torch.SymInt, wanted: bool | int = True) -> Tensor:
            return y.new_empty(shape if wanted else (0,))

        return (
            make(N, w_ih.shape[1], wanted=wanted & 1),
            make(*w_ih.shape, wanted=wanted & 2),
            make(width, H, wanted=wanted & 4),
            make(width, wanted=wanted & 8),
            make(width, wanted=wanted & 16),
            make(B, H),
            make(B, H, wanted=cell == 3),
            make(3, N, wanted=norms),
            make(N, H, wanted=full),
            make(N, H, wanted=full and cell == 3),
            y.new_empty(1, dtype=torch.long),
        )

    @library.register_fake("bptt::product")
    def product(a: Tensor, b: Tensor) -> Tensor:
        return a.new_empty(a.shape[0], b.shape[1])
