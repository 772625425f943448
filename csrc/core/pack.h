// Brings a matrix into panels: [K, N vectors], dense, zero where the matrix has no column.
#pragma once

#include "vec.h"

namespace bptt::BPTT_ISA {

// to[k * stride + lane] = from[lane * ld + k] for lane < rows, k < K; zero for the other lanes.
template <class T>
inline void pack_rows(const T* from, int64_t ld, int64_t rows, int64_t K, T* to, int64_t stride) {
  constexpr int L = kLanes<T>;
  for (int64_t k = 0; k < K; k += L) {
    const int64_t count = min(L, K - k);
    Vec<T> block[L];
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) block[i] = i < rows ? load(from + i * ld + k, count) : Vec<T>{};
    transpose<T>(block);
    for (int64_t i = 0; i < count; ++i) store(to + (k + i) * stride, block[i]);
  }
}

// to[k * stride + n] = from[k * ld + n] for n < columns, k < K; zero up to `width` columns.
template <class T>
inline void pack_columns(const T* from, int64_t ld, int64_t columns, int64_t K, T* to,
                         int64_t stride, int64_t width) {
  constexpr int L = kLanes<T>;
  for (int64_t k = 0; k < K; ++k)
    for (int64_t n = 0; n < width; n += L)
      store(to + k * stride + n, n < columns ? load(from + k * ld + n, columns - n) : Vec<T>{});
}

// pack_rows into pairs: to[k * stride + lane] = the pair k of from's row `lane`. K counts numbers.
inline void pack_row_pairs(const float* from, int64_t ld, int64_t rows, int64_t K, float* to,
                           int64_t stride) {
  constexpr int L = kLanes<float>;
  for (int64_t k = 0; k < K; k += 2 * L) {
    Vec<float> block[L];
    for (int i = 0; i < L; ++i) {
      uint16_t halves[2 * L] = {};
      const float* row = from + i * ld + k;
      if (i < rows) store_bf16(halves, load(row, min(L, K - k)), min(L, K - k));
      if (i < rows && K - k > L) store_bf16(halves + L, load(row + L, min(L, K - k - L)), L);
      __builtin_memcpy(&block[i], halves, sizeof halves);
    }
    transpose<float>(block);
    for (int64_t i = 0; i < min(L, ceil_div(K - k, 2)); ++i) store(to + (k / 2 + i) * stride, block[i]);
  }
}

// pack_columns into pairs of neighbouring rows. K counts numbers.
inline void pack_column_pairs(const float* from, int64_t ld, int64_t columns, int64_t K, float* to,
                              int64_t stride, int64_t width) {
  constexpr int L = kLanes<float>;
  for (int64_t k = 0; k < K; k += 2)
    for (int64_t n = 0; n < width; n += L) {
      const float* at = from + k * ld + n;
      const Vec<float> first = n < columns ? load(at, columns - n) : Vec<float>{};
      const Vec<float> second = n < columns && k + 1 < K ? load(at + ld, columns - n) : Vec<float>{};
      store(to + k / 2 * stride + n, pair(first, second));
    }
}

// Either kind, as the element type and `pairs` say.
template <class T>
inline void pack_rows(bool pairs, const T* from, int64_t ld, int64_t rows, int64_t K, T* to,
                      int64_t stride) {
  if constexpr (sizeof(T) == sizeof(float))
    if (pairs) return pack_row_pairs(from, ld, rows, K, to, stride);
  pack_rows(from, ld, rows, K, to, stride);
}

template <class T>
inline void pack_columns(bool pairs, const T* from, int64_t ld, int64_t columns, int64_t K, T* to,
                         int64_t stride, int64_t width) {
  if constexpr (sizeof(T) == sizeof(float))
    if (pairs) return pack_column_pairs(from, ld, columns, K, to, stride, width);
  pack_columns(from, ld, columns, K, to, stride, width);
}

}  // namespace bptt::BPTT_ISA
