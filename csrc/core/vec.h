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
#ifdef __clang__
#include <utility>  // integer_sequence, a type
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

// The sum of the lanes, by halves.
template <class T, int kBytes = BPTT_VECTOR_BYTES, class V>
BPTT_INLINE T sum(V v) {
  if constexpr (kBytes == sizeof(T)) {
    T x;
    __builtin_memcpy(&x, &v, sizeof x);
    return x;
  } else {
    typedef T Half __attribute__((vector_size(kBytes / 2)));
    Half halves[2];
    __builtin_memcpy(halves, &v, sizeof v);
    return sum<T, kBytes / 2>(halves[0] + halves[1]);
  }
}

// A sum of squares in double: a float's square may lie beyond what a float can hold. Two sums are
// under way at a time, so that an addition waits for the last but one, not for the last.
struct Squares {
  Vec<double> even{}, odd{};

  BPTT_INLINE void add(Vec<double> x) { even += x * x; }

  BPTT_INLINE void add(Vec<float> x) {
    typedef float Half __attribute__((vector_size(BPTT_VECTOR_BYTES / 2)));
    Half halves[2];
    __builtin_memcpy(halves, &x, sizeof x);
    const Vec<double> low = __builtin_convertvector(halves[0], Vec<double>);
    const Vec<double> high = __builtin_convertvector(halves[1], Vec<double>);
    even += low * low;
    odd += high * high;
  }

  BPTT_INLINE double total() const { return sum<double>(even + odd); }
};

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

// The lanes of a and b from lane `start` on, in turn: a[start], b[start], a[start + 1], ...
#ifdef __clang__
template <class T, int start, int... i>
BPTT_INLINE Vec<T> in_turn(Vec<T> a, Vec<T> b, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(a, b, (start + i / 2 + i % 2 * kLanes<T>)...);
}

template <class T, int start>
BPTT_INLINE Vec<T> in_turn(Vec<T> a, Vec<T> b) {
  return in_turn<T, start>(a, b, std::make_integer_sequence<int, kLanes<T>>());
}
#else
template <class T, int start>
BPTT_INLINE Vec<T> in_turn(Vec<T> a, Vec<T> b) {
  Int<T> from;
  for (int i = 0; i < kLanes<T>; ++i) from[i] = start + i / 2 + i % 2 * kLanes<T>;
  return __builtin_shuffle(a, b, from);
}
#endif

// Transposes a kLanes x kLanes block held in registers: log2(kLanes) perfect shuffles.
template <class T>
BPTT_INLINE void transpose(Vec<T> (&rows)[kLanes<T>]) {
  constexpr int L = kLanes<T>;
#pragma GCC unroll 4
  for (int round = 1; round < L; round *= 2) {
    Vec<T> next[L];
#pragma GCC unroll 16
    for (int i = 0; i < L / 2; ++i) {
      next[2 * i] = in_turn<T, 0>(rows[i], rows[i + L / 2]);
      next[2 * i + 1] = in_turn<T, L / 2>(rows[i], rows[i + L / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) rows[i] = next[i];
  }
}

}  // namespace bptt::BPTT_ISA
