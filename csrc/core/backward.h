// The backward recurrence of one part: at each step the cell, then the product with W_hh.
#pragma once

#include "cells.h"
#include "kernels.h"
#include "pack.h"
#include "tile.h"

namespace bptt::BPTT_ISA {

template <class T, template <class> class C>
struct BackwardPass {
  static constexpr int G = C<T>::G, N = 4, L = kLanes<T>;
  // Rows of a panel worked on at once, so that its slice stays in the second-level cache.
  static constexpr int64_t kBlock = 1024 * 4 / sizeof(T);

  const Backward<T>& b;
  const BackwardScratch<T>& s;
  const int64_t H = b.steps.H, B = b.steps.B, K = G * H;

  static Panels panels(int64_t H) { return {ceil_div(H, N * L), G * H * N * L, N * L}; }

  // Panel p: [G * H, N vectors], or half as many of pairs, columns p * N * L .. of W_hh.
  static void pack(const Steps& steps, const T* w, int64_t p0, int64_t p1, T* to) {
    const int64_t H = steps.H;
    for (int64_t p = p0; p < p1; ++p)
      pack_columns(steps.bf16, w + p * N * L, H, H - p * N * L, G * H, to + p * G * H * N * L, N * L, N * L);
  }

  struct Step {
    int64_t index;      // in the order of the forward pass
    int64_t now, end;   // first row of the step; one past the part's last
    int64_t before, rows_before;  // the same of the step before; no rows at the first
  };

  void run(const Part& part) const {
    const Steps& steps = b.steps;
    const int64_t* offset = steps.offset;
    int64_t clipped = 0;
    for (int64_t i = steps.T - 1; i >= 0; --i) {
      const int64_t t = steps.reverse ? steps.T - 1 - i : i;
      const int64_t before = i == 0 ? t : steps.reverse ? t + 1 : t - 1;
      const Step step{i, offset[t], min(part.r1, offset[t + 1] - offset[t]), offset[before],
                      i == 0 ? 0 : offset[before + 1] - offset[before]};
      if (b.clip == Clip::norm) arrive(part, step);
      const int64_t shrunk = cells(part, step);
      if (part.index == 0) clipped += shrunk;
      if (part.barrier) part.barrier->wait();
      if (b.norms || b.clip == Clip::value) clipped += settle(part, step);
      product(part, step);
    }
    s.clipped[part.index] = clipped;
  }

  // What a member gathers about each row, to be added up when all have met.
  enum Sum { kH, kE, kC, kClipped };
  static constexpr Sum kNorms[] = {kH, kE, kC};

  double* sums(const Step& step, Sum which, int member) const {
    return s.sums[step.index & 1] + (member * kSums + which) * B;
  }

  double total(const Part& part, const Step& step, Sum which, int64_t r) const {
    double total = 0;
    for (int i = 0; i < part.count; ++i) total += sums(step, which, i)[r];
    return total;
  }

  // dh += dy for this part's units of a row. Returns the sum of its squares.
  BPTT_INLINE double arrive(const Part& part, const Step& step, int64_t r) const {
    const int64_t u0 = part.p0 * N * L, u1 = min(H, part.p1 * N * L);
    Squares squares;
    for (int64_t u = u0; u < u1; u += L) {
      const int64_t n = min(L, u1 - u), at = (step.now + r) * H + u;
      Vec<T> dh = load(s.dh + r * s.dh_ld + u, n);
      if (b.dy) dh += load(b.dy + at, n);
      if (b.dh_all) store(b.dh_all + at, dh, n);
      store(s.dh + r * s.dh_ld + u, dh, n);
      squares.add(dh);
    }
    return squares.total();
  }

  // Clip by norm: what dL/dh_t of a row is multiplied by on its way into the cell.
  BPTT_INLINE T shrink(const Part& part, const Step& step, int64_t r) const {
    const double norm = __builtin_sqrt(total(part, step, kH, r));
    return norm > b.limit ? static_cast<T>(b.limit / norm) : T(1);
  }

  void arrive(const Part& part, const Step& step) const {
    for (int64_t r = part.r0; r < step.end; ++r)
      sums(step, kH, part.index)[r] = arrive(part, step, r);
    if (part.barrier) part.barrier->wait();
  }

  // Members share the rows out. Norms are roots of the members' sums, in their order. Returns the
  // number of rows of which a value was clipped.
  int64_t settle(const Part& part, const Step& step) const {
    const int64_t rows = b.steps.offset[b.steps.T];
    int64_t clipped = 0;
    for (int64_t r = part.r0 + part.index; r < step.end; r += part.count) {
      if (b.norms)
        for (Sum which : kNorms)
          b.norms[which * rows + step.now + r] =
              which == kH || C<T>::kCell
                  ? static_cast<T>(__builtin_sqrt(total(part, step, which, r)))
                  : T(0);
      if (b.clip == Clip::value) clipped += total(part, step, kClipped, r) > 0;
    }
    return clipped;
  }

  // A row on its way through the cell, and the sums of squares that it gathers.
  struct Row {
    const Step& step;
    int64_t r;
    T scale;  // clip by norm
    Squares dh, e, dc;
    Vec<T> clipped;
  };

  // Returns the number of rows that were scaled.
  int64_t cells(const Part& part, const Step& step) const {
    int64_t shrunk = 0;
    for (int64_t r = part.r0; r < step.end; ++r) {
      Row row{step, r, T(1), {}, {}, {}, {}};
      if (b.clip == Clip::norm) row.scale = shrink(part, step, r);
      shrunk += row.scale < T(1);
      for (int64_t u = part.p0 * N * L; u < min(H, part.p1 * N * L); u += L) cell(row, u);
      gather(part, row);
    }
    return shrunk;
  }

  BPTT_INLINE void gather(const Part& part, const Row& row) const {
    const Step& step = row.step;
    if (b.norms && b.clip != Clip::norm) sums(step, kH, part.index)[row.r] = row.dh.total();
    if (b.norms && C<T>::kCell) {
      sums(step, kE, part.index)[row.r] = row.e.total();
      sums(step, kC, part.index)[row.r] = row.dc.total();
    }
    if (b.clip == Clip::value) sums(step, kClipped, part.index)[row.r] = sum<T>(row.clipped);
  }

  // The state of the step before: where forward left it, or where it began.
  BPTT_INLINE const T* state_before(const Row& row, const T* all, const T* first) const {
    if (row.r < row.step.rows_before) return all + (row.step.before + row.r) * H;
    return first ? first + row.r * H : nullptr;
  }

  BPTT_INLINE void cell(Row& row, int64_t u) const {
    const int64_t n = min(L, H - u), now = row.step.now + row.r, at = now * H + u;
    Back<T> back{};
    back.H = H;
    back.n = n;
    back.dh = arriving(row, u, n, at);
    if constexpr (G == 1) {
      back.h = load(b.y + at, n);
    } else {
      back.gates = b.gates + now * K + u;
    }
    if constexpr (C<T>::kHidden) {
      const T* before = state_before(row, b.y, b.h0);
      if (before) back.h_before = load(before + u, n);
      back.hn = load(b.hn + at, n);
    }
    T* dc = C<T>::kCell ? b.dc + row.r * H + u : nullptr;
    if constexpr (C<T>::kCell) {
      const T* before = state_before(row, b.c_all, b.c0);
      if (before) back.c_before = load(before + u, n);
      back.c = load(b.c_all + at, n);
      back.dc = load(dc, n);
      if (b.norms) row.e.add(back.dc);
      if (b.e_all) store(b.e_all + at, back.dc, n);
    }
    Vec<T> dx[G], dhn{};
    C<T>::backward(back, dx, dhn);
    if constexpr (C<T>::kCell) {
      if (b.norms) row.dc.add(back.dc_total);
      store(dc, back.dc, n);
    }
    keep(row, u, n, dx, dhn);
    if constexpr (C<T>::kCarry) store(s.dh + row.r * s.dh_ld + u, back.carry, n);
  }

  // dL/dh_t, clipped.
  BPTT_INLINE Vec<T> arriving(Row& row, int64_t u, int64_t n, int64_t at) const {
    Vec<T> dh = load(s.dh + row.r * s.dh_ld + u, n);
    if (b.clip == Clip::norm) return dh * row.scale;
    if (b.dy) dh += load(b.dy + at, n);
    if (b.norms) row.dh.add(dh);
    if (b.dh_all) store(b.dh_all + at, dh, n);
    if (b.clip == Clip::none) return dh;
    const Vec<T> high = broadcast(b.limit), low = -high;
    Vec<T> bounded = dh > high ? high : dh;
    bounded = bounded < low ? low : bounded;
    row.clipped += dh == bounded ? Vec<T>{} : dh != dh ? Vec<T>{} : broadcast(T(1));
    return bounded;
  }

  BPTT_INLINE void keep(const Row& row, int64_t u, int64_t n, const Vec<T> (&dx)[G],
                        Vec<T> dhn) const {
    const int64_t now = row.step.now + row.r;
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      store(b.dx + now * K + g * H + u, dx[g], n);
      keep_operand(row, g * H + u, C<T>::kHidden && g == G - 1 ? dhn : dx[g], n);
    }
    if constexpr (C<T>::kHidden) store(b.dhn + now * H + u, dhn, n);
  }

  // What the product with W_hh will read.
  BPTT_INLINE void keep_operand(const Row& row, int64_t k, Vec<T> d, int64_t n) const {
    T* to = s.d[row.step.index & 1];
    if constexpr (sizeof(T) == sizeof(float))
      if (b.steps.bf16)
        return store_bf16(reinterpret_cast<uint16_t*>(to) + row.r * 2 * s.d_ld + k, d, n);
    store(to + row.r * s.d_ld + k, d, n);
  }

  // dh (+)= d W_hh for this part's rows and panels: dL/dh of the step before, but for its dy.
  void product(const Part& part, const Step& step) const {
    const T* d = s.d[step.index & 1];
    const bool few = step.end - part.r0 <= 2, pairs = b.steps.bf16;
    const int64_t depth = pairs ? ceil_div(K, 2) : K;
    for (int64_t p = part.p0; p < part.p1;) {
      const bool two = few && p + 1 < part.p1;
      for (int64_t k = 0; k < depth; k += kBlock)
        for (int64_t r = part.r0; r < step.end; r += kTileRows<N>) {
          const Tile<T> tile{d + r * s.d_ld + k, s.d_ld, 1, s.w + (p * K + k) * N * L, K * N * L,
                             min(kBlock, depth - k), s.dh + r * s.dh_ld + p * N * L, s.dh_ld};
          const int64_t rows = min(kTileRows<N>, step.end - r);
          if (C<T>::kCarry || k > 0)
            two ? multiply_tile<T, N, 2, true>(pairs, rows, tile)
                : multiply_tile<T, N, 1, true>(pairs, rows, tile);
          else
            two ? multiply_tile<T, N, 2, false>(pairs, rows, tile)
                : multiply_tile<T, N, 1, false>(pairs, rows, tile);
        }
      p += two ? 2 : 1;
    }
  }
};

}  // namespace bptt::BPTT_ISA
