// The forward recurrence of one part: product, then the cell, tile by tile, step by step.
#pragma once

#include "cells.h"
#include "kernels.h"
#include "pack.h"
#include "tile.h"

namespace bptt::BPTT_ISA {

template <class T, template <class> class C>
struct ForwardPass {
  static constexpr int G = C<T>::G, U = C<T>::U, N = G * U, L = kLanes<T>;

  const Forward<T>& f;
  const ForwardScratch<T>& s;
  const int64_t H = f.steps.H;
  const int64_t panel = H * N * L;

  static Panels panels(int64_t H) { return {ceil_div(H, U * L), H * N * L, U * L}; }

  // Panel p: [H, G, U vectors], or [H / 2, G, U vectors] of pairs; gate g of unit u is row g * H + u
  // of W_hh.
  static void pack(const Steps& steps, const T* w, int64_t p0, int64_t p1, T* to) {
    const int64_t H = steps.H;
    for (int64_t p = p0; p < p1; ++p)
      for (int v = 0; v < N; ++v) {
        const int64_t unit = (p * U + v % U) * L;
        const int64_t live = max(0, min(L, H - unit));
        pack_rows(steps.bf16, w + (v / U * H + unit) * H, H, live, H,
                  to + p * H * N * L + v * L, N * L);
      }
  }

  void run(const Part& part) const {
    const Steps& steps = f.steps;
    for (int64_t i = 0; i < steps.T; ++i) {
      const int64_t t = steps.reverse ? steps.T - 1 - i : i;
      const int64_t end = min(part.r1, steps.offset[t + 1] - steps.offset[t]);
      step(part, end, steps.offset[t], i & 1);
      if (part.barrier) part.barrier->wait();
    }
  }

  // `turn`: which of s.h holds the step before.
  void step(const Part& part, int64_t end, int64_t offset, int turn) const {
    const bool few = end - part.r0 <= 2;
    for (int64_t p = part.p0; p < part.p1;) {
      if (few && p + 1 < part.p1) {
        tile<2, 2>(part.r0, end - part.r0, p, offset, turn);
        p += 2;
        continue;
      }
      for (int64_t r = part.r0; r < end; r += kTileRows<N>)
        tile<kTileRows<N>, 1>(r, min(kTileRows<N>, end - r), p, offset, turn);
      ++p;
    }
  }

  template <int M, int P>
  void tile(int64_t r, int64_t rows, int64_t p, int64_t offset, int turn) const {
    alignas(64) T sums[M][P][N][L];
    const bool pairs = s.half[0];
    const T* h = pairs ? reinterpret_cast<const T*>(s.half[turn]) : s.h[turn];
    multiply_tile<T, N, P, false>(pairs, rows, {h + r * s.ld, s.ld, 1, s.w + p * panel, panel,
                                                pairs ? ceil_div(H, 2) : H, &sums[0][0][0][0],
                                                P * N * L});
    for (int64_t m = 0; m < rows; ++m)
      for (int q = 0; q < P; ++q)
        for (int u = 0; u < U; ++u) {
          const int64_t unit = ((p + q) * U + u) * L;
          if (unit < H) cell(sums[m][q], u, r + m, unit, offset, turn);
        }
  }

  BPTT_INLINE void cell(const T (&sums)[N][L], int u, int64_t r, int64_t unit, int64_t offset,
                        int turn) const {
    const int64_t n = min(L, H - unit), at = (offset + r) * H + unit;
    Vec<T> gates[G];
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) gates[g] = load(sums[g * U + u]);
    Ahead<T> ahead{f.x + (offset + r) * G * H + unit, H, n, nullptr, {}, nullptr, nullptr, nullptr,
                   f.save};
    if constexpr (C<T>::kHidden) {
      ahead.b_hn = f.b_hn ? f.b_hn + unit : nullptr;
      ahead.h = load(s.h[turn] + r * s.ld + unit, n);
      ahead.hn = f.hn ? f.hn + at : nullptr;
    }
    if constexpr (C<T>::kCell) {
      ahead.c = f.c + r * H + unit;
      ahead.c_all = f.c_all ? f.c_all + at : nullptr;
    }
    const Vec<T> h = C<T>::forward(gates, ahead);
    store(f.y + at, h, n);
    store(s.h[!turn] + r * s.ld + unit, h, n);
    if constexpr (sizeof(T) == sizeof(float))
      if (s.half[0]) store_bf16(s.half[!turn] + r * 2 * s.ld + unit, h, n);
  }
};

}  // namespace bptt::BPTT_ISA
