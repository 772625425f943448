// A layer's forward pass when no backward pass will follow.
#pragma once

#include "bptt.h"
#include "layer.h"

namespace bptt {

// What infer reads and writes; arrays as in Forward and Input.
template <class T>
struct Inference {
  Steps steps;
  Input<T> in;
  const T* b_ih;  // [G*H] or null
  const T* b_hh;  // [G*H] or null
  const T* w;     // [G*H, H] W_hh
  const T* h0;    // [B, H] or null for zeros
  T* c;           // [B, H] LSTM only. in: c_0. out: the last c of each sample
  T* y;           // [N, H] out: h_t
};

// The same numbers as preactivate and forward. Pre-activations are made for some steps at a time, in
// memory that stays in the cache: for all steps at once they are many times the size of everything
// else, and the time to fetch that memory from the system and back was a third of the whole.
//
// rows  rows at a time, or as many as one step has; 0 for a number that suits the cache
template <class T>
void infer(const Inference<T>& run, Multiply<T> multiply, const Pool& pool, int64_t rows = 0);

}  // namespace bptt
