// Large matrix products on the same register tile.
//
// c is cut into blocks of kColumns columns; for each and for each block of kDepth of the inner
// dimension, b's block is packed into panels (second-level cache), and tiles of rows run over them.
#pragma once

#include "kernels.h"
#include "pack.h"
#include "tile.h"

namespace bptt::BPTT_ISA {

template <class T>
struct Multiplication {
  static constexpr int N = 4, L = kLanes<T>, W = N * L, M = kTileRows<N>;
  static constexpr int64_t kDepth = 1024 / sizeof(T), kColumns = 8 * W, kRows = 16 * M;
  static constexpr int64_t kStep = kRows + L;  // spreads the rows of a's block over the cache sets
  static constexpr int64_t kScratch = kDepth * (kColumns + kStep) + 128;
  static constexpr int64_t kPairRow = kDepth / 2 + L;  // a row of a's block of pairs

  const Product<T>& q;
  T* b_block;  // [panels, kDepth, W]
  T* a_block;  // [kDepth, kStep] if a's rows are not dense; [kRows, kPairRow] if they are, for pairs

  void run(int64_t m0, int64_t m1, int64_t n0, int64_t n1) const {
    for (int64_t n = n0; n < n1; n += kColumns) {
      const int64_t columns = min(kColumns, n1 - n);
      for (int64_t k = 0; k < q.K; k += kDepth) {
        const int64_t depth = min(kDepth, q.K - k);
        pack_b(k, depth, n, columns);
        for (int64_t m = m0; m < m1; m += kRows)
          rows(m, min(kRows, m1 - m), n, columns, k, depth, n == 0);
      }
    }
  }

  void pack_b(int64_t k, int64_t depth, int64_t n, int64_t columns) const {
    for (int64_t j = 0; j < columns; j += W) {
      T* to = b_block + j / W * kDepth * W;
      const T* from = q.b + k * q.b_row + (n + j) * q.b_col;
      if (q.b_col == 1) {
        pack_columns(q.bf16, from, q.b_row, columns - j, depth, to, W, W);
        continue;
      }
      for (int v = 0; v < N; ++v)
        pack_rows(q.bf16, from + v * L * q.b_col, q.b_col, max(0, min(L, columns - j - v * L)),
                  depth, to + v * L, W);
    }
  }

  void rows(int64_t m, int64_t count, int64_t n, int64_t columns, int64_t k, int64_t depth,
            bool first) const {
    const bool turned = q.a_col != 1 || q.sums, packed = turned || q.bf16;
    if (packed) pack_a(turned, m, count, k, depth);
    if (q.sums && first) sum_rows(m, count, k, depth);
    const T* a = packed ? a_block : q.a + m * q.a_row + k;
    const int64_t row = turned ? 1 : packed ? kPairRow : q.a_row, step = turned ? kStep : 1;
    for (int64_t i = 0; i < count; i += M)
      for (int64_t j = 0; j < columns; j += W) {
        alignas(64) T sums[M][W];
        const int64_t live = min(M, count - i);
        multiply_tile<T, N, 1, false>(
            q.bf16, live, {a + i * row, row, step, b_block + j / W * kDepth * W, 0,
                           q.bf16 ? ceil_div(depth, 2) : depth, sums[0], W});
        for (int64_t r = 0; r < live; ++r)
          finish(sums[r], m + i + r, n + j, min(W, columns - j), k == 0);
      }
  }

  void pack_a(bool turned, int64_t m, int64_t count, int64_t k, int64_t depth) const {
    const T* from = q.a + m * q.a_row + k * q.a_col;
    if (turned && q.a_row == 1)
      return pack_columns(q.bf16, from, q.a_col, count, depth, a_block, kStep, count);
    if constexpr (sizeof(T) == sizeof(float))
      for (int64_t i = 0; q.bf16 && i < count; ++i) pack_dense_row(from + i * q.a_row, depth, i);
  }

  // A row of a as pairs.
  void pack_dense_row(const float* from, int64_t depth, int64_t i) const {
    uint16_t* to = reinterpret_cast<uint16_t*>(a_block + i * kPairRow);
    for (int64_t d = 0; d < depth; d += L) store_bf16(to + d, load(from + d, depth - d), depth - d);
    if (depth % 2) to[depth] = 0;
  }

  void sum_rows(int64_t m, int64_t count, int64_t k, int64_t depth) const {
    for (int64_t i = 0; i < count; i += L) {
      T* sums = q.sums + m + i;
      Vec<T> total = k == 0 ? Vec<T>{} : load(sums, count - i);
      for (int64_t d = 0; d < depth; ++d)
        total += load(q.a + m + i + (k + d) * q.a_col, count - i);
      store(sums, total, count - i);
    }
  }

  void finish(const T* sums, int64_t m, int64_t n, int64_t columns, bool first) const {
    T* c = q.c + m * q.c_row + n;
    for (int64_t j = 0; j < columns; j += L) {
      const int64_t live = min(L, columns - j);
      Vec<T> v = load(sums + j);
      if (!first) v += load(c + j, live);
      else if (q.bias) v += load(q.bias + n + j, live);
      store(c + j, v, live);
    }
  }
};

}  // namespace bptt::BPTT_ISA
