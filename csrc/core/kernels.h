// Between the driver, compiled once, and the kernels, compiled for each instruction set.
#pragma once

#include <cstdint>

#include "bptt.h"
#include "team.h"

namespace bptt {

// A thread's share: rows r0 .. r1 - 1 of the batch, panels p0 .. p1 - 1 of the hidden units. Either
// each thread has some samples and all panels and waits for nobody, or a team shares all samples
// and each member has some panels; then they meet once a step (twice if they clip by norm).
struct Part {
  int64_t r0, r1, p0, p1;
  int index, count;  // among the team; 0 of 1 without one
  Barrier* barrier;  // null without a team
};

// Panels of one direction's product: `count` panels of `size` elements, `units` hidden units each.
struct Panels {
  int64_t count, size, units;
};

template <class T>
struct ForwardScratch {
  const T* w;   // packed W_hh
  T* h[2];      // [B, ld] h of the step before and of this step, in turn; h[0] starts as h_0
  int64_t ld;
  uint16_t* half[2];  // [B, 2 ld] the same rounded to bfloat16, or null
};

// Sums about each row of a backward step: squares of three norms, and what was clipped.
constexpr int kSums = 4;

template <class T>
struct BackwardScratch {
  const T* w;       // packed W_hh
  T* d[2];          // [B, d_ld] gradient of W_hh's product, of this step and the one before, in turn;
                    // with bf16 as bfloat16, [B, 2 d_ld]
  int64_t d_ld;
  T* dh;            // [B, dh_ld] starts as the gradient of the last h
  int64_t dh_ld;
  double* sums[2];  // [parts, kSums, B] what a member gathered about each row, in turn
  int64_t* clipped;  // [parts]
};

template <class T>
struct Kernels {
  Panels (*forward_panels)(Cell cell, int64_t H);
  Panels (*backward_panels)(Cell cell, int64_t H);
  void (*pack_forward)(const Steps& steps, const T* w, int64_t p0, int64_t p1, T* to);
  void (*pack_backward)(const Steps& steps, const T* w, int64_t p0, int64_t p1, T* to);
  void (*forward)(const Forward<T>& f, const ForwardScratch<T>& s, const Part& part);
  void (*backward)(const Backward<T>& b, const BackwardScratch<T>& s, const Part& part);
  // c over rows m0 .. m1 - 1 and columns n0 .. n1 - 1; scratch holds product_scratch elements.
  void (*product)(const Product<T>& p, int64_t m0, int64_t m1, int64_t n0, int64_t n1, T* scratch);
  int64_t product_scratch, product_rows, product_columns;  // and the grain of m0 .. and n0 ..
  void (*tanh)(const T* x, T* y, int64_t n);
  void (*sigmoid)(const T* x, T* y, int64_t n);
};

#define BPTT_DECLARE(isa)          \
  namespace isa {                  \
  const Kernels<float>& floats();  \
  const Kernels<double>& doubles(); \
  }
BPTT_DECLARE(baseline)
BPTT_DECLARE(avx2)
BPTT_DECLARE(avx512)
BPTT_DECLARE(avx512bf16)
#undef BPTT_DECLARE

}  // namespace bptt
