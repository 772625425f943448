// The parts of a layer around its recurrence: the input's share of the pre-activations before it,
// and the sums over all steps after it. Letters and arrays as in bptt.h.
#pragma once

#include "bptt.h"

namespace bptt {

// A layer's input: vectors, or numbers of symbols whose share of the pre-activations is in a table.
template <class T>
struct Input {
  const T* x;          // [N, I], or null
  const int64_t* ids;  // [N], each in 0 .. I - 1, if x is null
  int64_t I;           // inputs, or symbols
  const T* w_ih;       // [G*H, I], or the table [I, G*H]
};

// How large products are computed: product of bptt.h, or the host's own.
template <class T>
using Multiply = void (*)(const Product<T>& p, const Pool& pool);

// out[N, G*H] = x W_ih^T + b_ih + b_hh, or table[ids] + b_ih + b_hh. Biases [G*H] may be null. For a
// GRU b_hh's last third is left out: it belongs inside the recurrence.
template <class T>
void preactivate(const Steps& steps, const Input<T>& in, const T* b_ih, const T* b_hh, T* out,
                 Multiply<T> multiply, const Pool& pool);

// What backward left, and the sums wanted of it; an output that is null is not computed.
template <class T>
struct Sums {
  const T* d;     // [N, G*H] Backward::dx
  const T* dhn;   // [N, H] Backward::dhn; GRU only
  const T* y;     // [N, H]
  const T* h0;    // [B, H] or null for zeros
  T* d_x;         // [N, I]; not with ids
  T* d_w_ih;      // [G*H, I], or the table's [I, G*H]
  T* d_w_hh;      // [G*H, H]
  T* d_b_ih;      // [G*H]
  T* d_b_hh;      // [G*H]
};

template <class T>
void sum_over_steps(const Steps& steps, const Input<T>& in, const Sums<T>& s, Multiply<T> multiply,
                    const Pool& pool);

// h[B, H] = the last state of each sample, out of y [N, H].
template <class T>
void last_states(const Steps& steps, const T* y, T* h);

}  // namespace bptt
