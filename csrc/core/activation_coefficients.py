"""Derives the polynomials of activation.h and writes activation_coefficients.h beside itself.

exp(r) - 1 = r + r^2 q(r) on |r| <= ln 2 / 2. q is the minimax polynomial of its degree, found by
Remez' exchange in 60 digits with the error weighted so that the relative error of exp(r) counts.
Run it with `python csrc/core/activation_coefficients.py`; it needs mpmath.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mpmath as mp

Real = Any  # mpmath's numbers carry no types

mp.mp.dps = 60
HALF = mp.log(2) / 2 * mp.mpf("1.0001")  # the shift rounds n, so |r| may pass ln 2 / 2 a little


def target(r: Real) -> Real:
    """q(r) = (exp(r) - 1 - r) / r^2, by its series near 0."""
    if abs(r) < mp.mpf("1e-8"):
        return mp.mpf(1) / 2 + r / 6 + r**2 / 24
    return (mp.expm1(r) - r) / r**2


def weight(r: Real) -> Real:
    """Error of q enters exp(r) - 1 by r^2; relative to exp(r) - 1 that is about |r|."""
    return r**2 / abs(mp.expm1(r)) if abs(r) > mp.mpf("1e-12") else abs(r) + mp.mpf("1e-12")


def remez(degree: int, rounds: int = 12) -> tuple[list[Real], Real]:
    """Minimax coefficients, constant first, and the largest weighted error."""
    count = degree + 2
    points = [HALF * mp.cos(mp.pi * (2 * i + 1) / (2 * count)) for i in range(count)]
    grid = [HALF * mp.cos(mp.pi * i / 1200) for i in range(1201)]
    coefficients: list[Real] = []
    for _ in range(rounds):
        system = mp.matrix(count, count)
        for i, r in enumerate(points):
            for j in range(degree + 1):
                system[i, j] = r**j
            system[i, degree + 1] = (-1) ** i / weight(r)
        solution = mp.lu_solve(system, mp.matrix([target(r) for r in points]))
        coefficients = [solution[j] for j in range(degree + 1)]
        points = extrema(coefficients, grid, count)
    return coefficients, max(abs(error(coefficients, r)) for r in grid)


def error(coefficients: list[Real], r: Real) -> Real:
    return (mp.polyval(coefficients[::-1], r) - target(r)) * weight(r)


def extrema(coefficients: list[Real], grid: list[Real], count: int) -> list[Real]:
    """The largest error of each stretch of one sign; the `count` neighbours that are largest."""
    best: list[tuple[Real, Real]] = []
    for r in grid:
        e = error(coefficients, r)
        if best and (e > 0) == (best[-1][1] > 0):
            if abs(e) > abs(best[-1][1]):
                best[-1] = (r, e)
        else:
            best.append((r, e))
    while len(best) > count:
        best.pop(0 if abs(best[0][1]) < abs(best[-1][1]) else -1)
    return [r for r, _ in best]


def high_part(x: Real, bits: int) -> Real:
    """x rounded to `bits` bits, so that a small integer times it is exact."""
    scale: Real = mp.mpf(2) ** (bits - 1 - int(mp.floor(mp.log(x, 2))))
    return mp.nint(x * scale) / scale


def literal(x: Real, suffix: str) -> str:
    return str(mp.nstr(x, 20, strip_zeros=False)) + suffix


def table(kind: str, degree: int, high_bits: int, suffix: str) -> str:
    coefficients, worst = remez(degree)
    ln2_high = high_part(mp.log(2), high_bits)
    rows = "".join(f"      {literal(c, suffix)},\n" for c in coefficients)
    return (
        f"// largest relative error of exp(r) - 1: {mp.nstr(worst, 3)}\n"
        f"template <>\nstruct ExpPolynomial<{kind}> {{\n"
        f"  static constexpr {kind} kLog2e = {literal(1 / mp.log(2), suffix)};\n"
        f"  static constexpr {kind} kLn2High = {literal(ln2_high, suffix)};\n"
        f"  static constexpr {kind} kLn2Low = {literal(mp.log(2) - ln2_high, suffix)};\n"
        f"  static constexpr int kTerms = {degree + 1};\n"
        f"  static constexpr {kind} kCoefficients[kTerms] = {{\n{rows}  }};\n}};\n"
    )


def main() -> None:
    page = (
        "// Written by activation_coefficients.py; change that, not this.\n#pragma once\n\n"
        "namespace bptt::BPTT_ISA {\n\ntemplate <class T>\nstruct ExpPolynomial;\n\n"
        + table("float", 4, 12, "f")
        + "\n"
        + table("double", 9, 32, "")
        + "\n}  // namespace bptt::BPTT_ISA\n"
    )
    Path(__file__).with_name("activation_coefficients.h").write_text(page)


if __name__ == "__main__":
    main()
