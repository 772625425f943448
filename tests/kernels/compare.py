"""Run by test_engines.py in a process of its own: this instruction set against the reference."""

import torch

from bptt.kernels import Clip, isa
from layers import CELLS, Case, run, worst


def main() -> None:
    print(isa(), end=" ")
    for cell in CELLS:
        for case in (
            Case(cell, T=1, B=1, I=1, H=1),
            Case(cell, T=6, B=5, I=9, H=33, lengths=(6, 4, 4, 2, 1), clip=Clip("norm", 0.5)),
            Case(cell, T=7, B=20, I=40, H=70, reverse=True, tokens=True),
            Case(cell, T=9, B=1, I=4, H=270, clip=Clip("value", 0.1)),
        ):
            for dtype, limit in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
                found, expected = run(case, "native", dtype), run(case, "reference")
                if dtype == torch.float32:
                    found.pop("clipped", None)
                    expected.pop("clipped", None)
                error, name = worst(found, expected)
                assert error < limit, (cell, case, dtype, name, error)
        case = Case(cell, T=6, B=5, I=9, H=33)
        found, exact = run(case, "native", torch.float32, bf16=True), run(case, "reference")
        names = ("y", "h") if cell == "rnn_relu" else exact  # rounding may flip a ReLU's slope
        error, name = worst({n: found[n] for n in names}, {n: exact[n] for n in names})
        assert error < 0.05, (cell, "bfloat16", name, error)
    print("agrees with the reference")


if __name__ == "__main__":
    main()
