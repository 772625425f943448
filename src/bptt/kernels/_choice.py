"""Which engine runs a layer: what was asked for, or the fastest that can."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad

from bptt._errors import BpttError
from bptt.kernels._load import available, fast_torch_products

Backend = Literal["auto", "native", "reference", "torch"]
BACKENDS: tuple[Backend, ...] = ("auto", "native", "reference", "torch")
"""`auto` takes the fastest; the others are obeyed or raise."""


def as_backend(backend: str) -> Backend:
    """`backend`, if it is one of `BACKENDS`."""
    for known in BACKENDS:
        if backend == known:
            return known
    raise BpttError(f"backend is {backend!r}; expected one of {', '.join(map(repr, BACKENDS))}.")


def obstacle(tensors: Iterable[Tensor | None]) -> str | None:
    """Why neither `native` nor `reference` can take these tensors, as a clause; None if they can."""
    given = [t for t in tensors if t is not None]
    dtype = next((t.dtype for t in given if t.dtype is not torch.int64), torch.int64)
    if dtype is torch.float32 or dtype is torch.float64:
        for t in given:
            if not _plain(t, dtype):
                return _fault(t, dtype)
        return _transform()
    return _fault(given[0], dtype)


def _plain(t: Tensor, dtype: torch.dtype) -> bool:
    return (
        (t.dtype is dtype or t.dtype is torch.int64)
        and t.is_cpu
        and (type(t) is Tensor or type(t) is torch.nn.Parameter)
        and t.layout is torch.strided
        and t.numel() > 0
    )


def _fault(t: Tensor, dtype: torch.dtype) -> str:
    if not t.is_cpu:
        return f"device {t.device} was given; this engine runs on the CPU"
    if t.layout is not torch.strided or type(t) not in (Tensor, torch.nn.Parameter):
        return f"a tensor of layout {t.layout} and type {type(t).__name__} was given"
    if t.dtype is dtype and t.numel() == 0:
        return f"an empty tensor of shape {tuple(t.shape)} was given"
    return (
        f"dtype {t.dtype} was given; input, state and weights must all be float32, or all float64"
    )


def _transform() -> str | None:
    """What else is at work on the call that only torch's own operators can follow."""
    if torch.is_autocast_enabled("cpu"):
        return "autocast is on, which these engines do not take part in"
    if torch._C._are_functorch_transforms_active():
        return "a torch.func transform is at work"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation is at work"
    if (
        torch._C._get_tracing_state() is not None
        or torch.onnx.is_in_onnx_export()
        or torch.compiler.is_exporting()
    ):
        return "the model is being traced or exported"
    return None


def torch_is_faster(
    cell: str, H: int, B: int, dtype: torch.dtype, *, packed: bool, backward: bool
) -> bool:
    """Whether torch's own layer may beat the native one here, by the tables in benchmarks/.

    Only padded float32 LSTMs have a fast path in torch: oneDNN's. With a backward pass to follow it was measured to
    lose on AMD's processors, with AVX2 and with AVX-512. Forward alone it was ahead by an eighth where each thread has
    a few samples and weights that do not fit its cache, and on two threads by up to 6 % from 256 to 512 hidden units
    and 32 to 128 samples. Where torch's products run at full speed, it keeps the sizes at which it would be close.
    """
    if not available():
        return True
    if cell != "lstm" or packed or dtype != torch.float32 or H < 128 or B < 8:
        return False
    if fast_torch_products():
        return True
    if backward:
        return False
    if B < 16:
        return H >= 512
    return 256 <= H < 1024 and torch.get_num_threads() > 1
