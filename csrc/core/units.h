// Clipping of each unit's gradient by the size of its weights (AGC): one pass over a tensor's rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace bptt {

// Euclidean norm of n numbers. Sixteen sums side by side, which the compiler keeps in vectors; the sums
// of float32 are joined in float64.
template <class T>
double norm_of(const T* values, int64_t n) {
  constexpr int64_t kLanes = 16;
  T lanes[kLanes] = {};
  int64_t at = 0;
  for (; at + kLanes <= n; at += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += values[at + lane] * values[at + lane];
  double sum = 0;
  for (; at < n; ++at) sum += static_cast<double>(values[at]) * values[at];
  for (T lane : lanes) sum += lane;
  return std::sqrt(sum);
}

// Squares of the gradient's norm before clipping and after it, summed over the units.
struct Clipped {
  double before = 0, after = 0;
};

// g_i <- g_i min(1, factor max(|w_i|, least) / |g_i|) for each of `units` rows of n numbers; `floor` stands
// for a norm below it.
template <class T>
Clipped clip_units(const T* w, T* g, int64_t units, int64_t n, double factor, double least,
                   double floor) {
  Clipped clipped;
  for (int64_t unit = 0; unit < units; ++unit, w += n, g += n) {
    const double norm = norm_of(g, n), limit = factor * std::max(norm_of(w, n), least);
    double left = 1;
    if (norm > limit) {
      left = std::min(limit / std::max(norm, floor), 1.0);
      for (int64_t at = 0; at < n; ++at) g[at] *= static_cast<T>(left);
    }
    clipped.before += norm * norm;
    clipped.after += norm * left * norm * left;
  }
  return clipped;
}

}  // namespace bptt
