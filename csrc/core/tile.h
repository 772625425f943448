// The register tile: the one inner loop that every product of this library runs.
#pragma once

#include "vec.h"

namespace bptt::BPTT_ISA {

// Vectors of accumulators: what the registers hold beside one row of w and one broadcast.
#if BPTT_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kAccumulators = 24;
#else
constexpr int kAccumulators = 12;
#endif

// Rows of the tallest tile that is N vectors wide.
template <int N>
constexpr int kTileRows = kAccumulators / N;

// acc[m][p * N + n] += sum over k < K of a[m * row + k * step] * w[p * panel + k * N + n].
//
// a      M rows; element (m, k) lies at a[m * row + k * step]
// w      P panels, `panel` elements apart, each [K, N vectors] and dense
// acc    the caller's registers
//
// With kPairs the elements of a and w are pairs of bfloat16, and each product is one of pairs.
//
// Each sum runs over k in order in one accumulator, whatever M and P are: that is why results do
// not depend on how rows and panels are shared out among tiles and threads.
template <bool kPairs, class T, int M, int N, int P>
BPTT_INLINE void multiply(const T* a, int64_t row, int64_t step, const T* w, int64_t panel,
                          int64_t K, Vec<T> (&acc)[M][P * N]) {
  constexpr int L = kLanes<T>;
  for (int64_t k = 0; k < K; ++k) {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      Vec<T> wk[N];
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) wk[n] = load(w + p * panel + (k * N + n) * L);
#pragma GCC unroll 24
      for (int m = 0; m < M; ++m) {
        if constexpr (kPairs) {
          int32_t bits;
          __builtin_memcpy(&bits, a + m * row + k * step, sizeof bits);
          const Int<T> am = Int<T>{} + bits;
#pragma GCC unroll 8
          for (int n = 0; n < N; ++n)
            acc[m][p * N + n] = dot(acc[m][p * N + n], am, (Int<T>)wk[n]);
        } else {
          const Vec<T> am = broadcast(a[m * row + k * step]);
#pragma GCC unroll 8
          for (int n = 0; n < N; ++n) acc[m][p * N + n] += am * wk[n];
        }
      }
    }
  }
}

// One tile's product, kept in memory.
template <class T>
struct Tile {
  const T* a;       // as in multiply
  int64_t row, step;
  const T* w;
  int64_t panel, K;
  T* c;             // row m of panel p at c + m * c_row + p * N vectors
  int64_t c_row;
};

// c (+)= a w for M rows and P panels.
template <bool kPairs, class T, int M, int N, int P, bool kAdd>
BPTT_INLINE void multiply_store(const Tile<T>& t) {
  constexpr int L = kLanes<T>;
  Vec<T> acc[M][P * N];
#pragma GCC unroll 24
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < P * N; ++n)
      acc[m][n] = kAdd ? load(t.c + m * t.c_row + n * L) : Vec<T>{};
  multiply<kPairs, T, M, N, P>(t.a, t.row, t.step, t.w, t.panel, t.K, acc);
#pragma GCC unroll 24
  for (int m = 0; m < M; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < P * N; ++n) store(t.c + m * t.c_row + n * L, acc[m][n]);
}

// The same for any number of rows up to kTileRows<N>. Tiles of one or two rows need a second panel
// to have enough sums under way; P = 2 is for them alone.
template <bool kPairs, class T, int N, int P, bool kAdd, int M = P == 2 ? 2 : kTileRows<N>>
inline void multiply_rows(int64_t rows, const Tile<T>& t) {
  if (rows == M) return multiply_store<kPairs, T, M, N, P, kAdd>(t);
  if constexpr (M > 1) multiply_rows<kPairs, T, N, P, kAdd, M - 1>(rows, t);
}

// The same on numbers or on pairs of bfloat16.
template <class T, int N, int P, bool kAdd>
inline void multiply_tile(bool pairs, int64_t rows, const Tile<T>& t) {
  if constexpr (sizeof(T) == sizeof(float))
    if (pairs) return multiply_rows<true, T, N, P, kAdd>(rows, t);
  multiply_rows<false, T, N, P, kAdd>(rows, t);
}

}  // namespace bptt::BPTT_ISA
