// Sums in double, and when a number of the core's is near enough to one.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace fuzz {

[[noreturn]] inline void fail(const char* what, double got, double expected) {
  std::fprintf(stderr, "FAILED %s: %.17g, expected %.17g\n", what, got, expected);
  std::abort();
}

// A sum of products in double, with the sizes of its terms for the tolerance.
struct Sum {
  double value = 0, size = 0;
  void add(double a, double b = 1) {
    value += a * b;
    size += std::abs(a * b);
  }
};

template <class T>
void near(const char* what, T got, double expected, double size, int64_t terms) {
  // Below the smallest normal number all is flushed to zero, each term by itself.
  const double flushed = 4 * std::numeric_limits<T>::min() * (1 + size) * (terms + 4);
  const double allowed = std::numeric_limits<T>::epsilon() * (terms + 64) * size + flushed;
  if (!(std::abs(got - expected) <= allowed)) fail(what, got, expected);
}

template <class T>
double operand(T x, bool bf16) {
  if (!bf16) return x;
  const float single = static_cast<float>(x);
  uint32_t bits;
  std::memcpy(&bits, &single, sizeof bits);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  float rounded;
  std::memcpy(&rounded, &bits, sizeof rounded);
  return rounded;
}

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace fuzz
