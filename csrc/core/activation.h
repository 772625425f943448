// tanh and the logistic function on vectors.
//
// Both stand on exp(x) - 1 with x = n ln 2 + r, |r| <= ln 2 / 2: a minimax polynomial for
// exp(r) - 1 (coefficients: activation_coefficients.py), then a scale by 2^n in the exponent bits.
#pragma once

#include "activation_coefficients.h"
#include "vec.h"

namespace bptt::BPTT_ISA {

template <class T>
struct Exponent;

template <>
struct Exponent<float> {
  static constexpr float kShift = 0x1.8p23f;  // adding it rounds to an integer, in the low bits
  static constexpr int32_t kBias = 127, kBits = 23;
  static constexpr float kLow = -87.0f, kHigh = 89.0f;  // 2^n stays normal, or is infinity
  static constexpr float kFlat = 20.0f;                 // tanh(x / 2) = 1 beyond
};

template <>
struct Exponent<double> {
  static constexpr double kShift = 0x1.8p52;
  static constexpr int64_t kBias = 1023, kBits = 52;
  static constexpr double kLow = -708.0, kHigh = 709.9;
  static constexpr double kFlat = 40.0;
};

// A NaN compares false and stays.
template <class T>
BPTT_INLINE Vec<T> clamp(Vec<T> x, T low, T high) {
  x = x < broadcast(low) ? broadcast(low) : x;
  return x > broadcast(high) ? broadcast(high) : x;
}

// exp(x) = scale + scale * tail, |x| within the bounds of Exponent.
template <class T>
BPTT_INLINE void split_exp(Vec<T> x, Vec<T>& scale, Vec<T>& tail) {
  using E = Exponent<T>;
  using P = ExpPolynomial<T>;
  const Vec<T> shifted = x * broadcast(P::kLog2e) + broadcast(E::kShift);
  const Vec<T> n = shifted - broadcast(E::kShift);
  const Vec<T> r = (x - n * broadcast(P::kLn2High)) - n * broadcast(P::kLn2Low);
  Vec<T> q = broadcast(P::kCoefficients[P::kTerms - 1]);
#pragma GCC unroll 16
  for (int i = P::kTerms - 2; i >= 0; --i) q = q * r + broadcast(P::kCoefficients[i]);
  tail = q * r * r + r;  // exp(r) - 1 = r + r^2 q(r): the leading term stays exact
  scale = (Vec<T>)(((Int<T>)shifted + E::kBias) << E::kBits);
}

// tanh(x) = (exp(2x) - 1) / (exp(2x) - 1 + 2)
template <class T>
BPTT_INLINE Vec<T> tanh(Vec<T> x) {
  Vec<T> scale, tail;
  split_exp<T>(clamp<T>(x + x, -Exponent<T>::kFlat, Exponent<T>::kFlat), scale, tail);
  const Vec<T> m = scale * tail + (scale - broadcast(T(1)));
  return m / (m + broadcast(T(2)));
}

// sigmoid(x) = 1 / (1 + exp(-x))
template <class T>
BPTT_INLINE Vec<T> sigmoid(Vec<T> x) {
  Vec<T> scale, tail;
  split_exp<T>(clamp<T>(-x, Exponent<T>::kLow, Exponent<T>::kHigh), scale, tail);
  const Vec<T> e = scale * tail + scale;
  return broadcast(T(1)) / (broadcast(T(1)) + e);
}

template <class T>
BPTT_INLINE Vec<T> relu(Vec<T> x) {
  return x < Vec<T>{} ? Vec<T>{} : x;
}

}  // namespace bptt::BPTT_ISA
