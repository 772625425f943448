// One SIMD vector type for each element type, by the compilers' vector extensions.
//
// Every header of this folder that computes is compiled once for each instruction set, inside a
// namespace of its own (BPTT_ISA). Nothing here may use inline functions of the standard library:
// the linker would keep one copy for the whole program, perhaps the one with AVX-512 in it.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#ifndef BPTT_ISA
#error "compile isa.cpp, which names the instruction set"
#endif

#define BPTT_INLINE inline __attribute__((always_inline))

namespace bptt::BPTT_ISA {

template <class T>
struct Lanes;

template <>
struct Lanes<float> {
  typedef float Vec __attribute__((vector_size(BPTT_VECTOR_BYTES)));
  typedef int32_t Int __attribute__((vector_size(BPTT_VECTOR_BYTES)));
};

template <>
struct Lanes<double> {
  typedef double Vec __attribute__((vector_size(BPTT_VECTOR_BYTES)));
  typedef int64_t Int __attribute__((vector_size(BPTT_VECTOR_BYTES)));
};

template <class T>
using Vec = typename Lanes<T>::Vec;
template <class T>
using Int = typename Lanes<T>::Int;

template <class T>
constexpr int kLanes = BPTT_VECTOR_BYTES / sizeof(T);

// Bytes of a cache line; scratch rows are padded to it.
constexpr int64_t kLine = 64;

BPTT_INLINE int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
BPTT_INLINE int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
BPTT_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// x in every lane. Subtracting +0 keeps every x, -0 and NaN included.
template <class T>
BPTT_INLINE Vec<T> broadcast(T x) {
  return x - Vec<T>{};
}

template <class T>
BPTT_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
BPTT_INLINE void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

// The first n lanes, n <= kLanes<T>; the others are zero. Reads nothing beyond p[n - 1].
template <class T>
BPTT_INLINE Vec<T> load(const T* p, int64_t n) {
  if (n >= kLanes<T>) return load(p);
  Vec<T> v{};
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}

// The first n lanes, n <= kLanes<T>. Writes nothing beyond p[n - 1].
template <class T>
BPTT_INLINE void store(T* p, Vec<T> v, int64_t n) {
  if (n >= kLanes<T>) return store(p, v);
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
}

// total += x * x, in double: a float's square may lie beyond what a float can hold.
BPTT_INLINE void add_squares(Vec<double>& total, Vec<double> x) { total += x * x; }

BPTT_INLINE void add_squares(Vec<double>& total, Vec<float> x) {
  typedef float Half __attribute__((vector_size(BPTT_VECTOR_BYTES / 2)));
  Half halves[2];
  __builtin_memcpy(halves, &x, sizeof x);
  for (const Half& half : halves) add_squares(total, __builtin_convertvector(half, Vec<double>));
}

// The sum of the lanes, by halves.
template <class T>
BPTT_INLINE T sum(Vec<T> v) {
  T lanes[kLanes<T>];
  store(lanes, v);
#pragma GCC unroll 4
  for (int half = kLanes<T> / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

// A bfloat16 is a float's upper half. Products on bfloat16 take them in pairs: element k is then the
// pair of numbers 2k and 2k + 1, the first in the lower half of a float's bits.
typedef uint16_t Halves __attribute__((vector_size(BPTT_VECTOR_BYTES / 2)));

// The bfloat16 nearest to each lane, ties to even, in the lane's lower half.
BPTT_INLINE Int<float> to_bf16(Vec<float> x) {
  const Int<float> bits = (Int<float>)x;
  const Int<float> rounded = bits + 0x7fff + ((bits >> 16) & 1);
  return ((x == x ? rounded : bits | 0x400000) >> 16) & 0xffff;
}

BPTT_INLINE Vec<float> pair(Vec<float> first, Vec<float> second) {
  return (Vec<float>)(to_bf16(first) | (to_bf16(second) << 16));
}

// The first n lanes of x, rounded, to p.
BPTT_INLINE void store_bf16(uint16_t* p, Vec<float> x, int64_t n) {
  const Halves halves = __builtin_convertvector(to_bf16(x), Halves);
  if (n >= kLanes<float>) {
    __builtin_memcpy(p, &halves, sizeof halves);
    return;
  }
  for (int64_t i = 0; i < n; ++i) p[i] = halves[i];
}

// sum + the products of a's and w's pairs, which come as the bits of floats.
BPTT_INLINE Vec<float> dot(Vec<float> sum, Int<float> a, Int<float> w) {
#ifdef __AVX512BF16__
  return (Vec<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)w);
#else
  sum += (Vec<float>)(a << 16) * (Vec<float>)(w << 16);
  const Int<float> upper = Int<float>{} + int32_t(0xffff0000);
  return sum + (Vec<float>)(a & upper) * (Vec<float>)(w & upper);
#endif
}

// Transposes a kLanes x kLanes block held in registers: log2(kLanes) perfect shuffles.
template <class T>
BPTT_INLINE void transpose(Vec<T> (&rows)[kLanes<T>]) {
  constexpr int L = kLanes<T>;
  Int<T> low, high;
  for (int i = 0; i < L; ++i) {
    low[i] = i / 2 + (i % 2) * L;
    high[i] = L / 2 + i / 2 + (i % 2) * L;
  }
#pragma GCC unroll 4
  for (int round = 1; round < L; round *= 2) {
    Vec<T> next[L];
#pragma GCC unroll 16
    for (int i = 0; i < L / 2; ++i) {
      next[2 * i] = __builtin_shuffle(rows[i], rows[i + L / 2], low);
      next[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + L / 2], high);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) rows[i] = next[i];
  }
}

}  // namespace bptt::BPTT_ISA
