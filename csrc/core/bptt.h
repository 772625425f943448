// The native recurrence: what it computes, on raw pointers, knowing no framework.
//
// Letters: T steps, B samples, H hidden units, G gates (RNN 1, GRU 3, LSTM 4), N rows. A row is one
// sample at one step; rows are ordered by step, and the rows of step t are its offset[t] ..
// offset[t + 1] - 1, sample 0 first. With equal lengths N = T * B. With unequal lengths samples are
// sorted by falling length, as in torch's PackedSequence, and a step has the rows that still run.
//
// Gate order and formulas are PyTorch's. All arrays are dense and row-major. No array that is
// written may overlap any other, unless its line says so. The caller owns every array; the library
// keeps only scratch of its own, one block for each calling thread, reused by that thread's calls.
#pragma once

#include <cstdint>

namespace bptt {

enum class Cell : int64_t { rnn_tanh = 0, rnn_relu = 1, gru = 2, lstm = 3 };

constexpr int64_t gates(Cell cell) {
  return cell == Cell::lstm ? 4 : cell == Cell::gru ? 3 : 1;
}

// Where the steps lie and in which order they run; shared by both directions.
struct Steps {
  Cell cell;
  int64_t T, B, H;
  const int64_t* offset;  // [T + 1], rows of step t; offset[0] = 0; row counts never rise with t
  bool reverse;           // steps run from T - 1 down to 0
  bool bf16;              // all products on operands rounded to bfloat16, sums in float; float only
};

// h_t = f(x_t + W h_{t-1}) for all t.
template <class T>
struct Forward {
  Steps steps;
  T* x;            // [N, G*H] in: the input's share of the pre-activations, biases included
                   // (GRU: all but b_hn). out, if save: the gates (GRU: r, z, n); RNN: untouched
  const T* w;      // [G*H, H] W_hh
  const T* b_hn;   // [H] or null; GRU only
  const T* h0;     // [B, H] or null for zeros
  T* c;            // [B, H] LSTM only. in: c_0. out: the last c of each sample
  T* y;            // [N, H] h_t
  T* c_all;        // [N, H] c_t, if save and LSTM; else null
  T* hn;           // [N, H] W_hn h_{t-1} + b_hn, if save and GRU; else null
  bool save;       // keep what backward needs
  const T* packed = nullptr;  // w as pack leaves it, or null: then each call does it for itself
};

enum class Clip : int64_t { none = 0, value = 1, norm = 2 };

// dL/d(pre-activation) for all t, from dL/dy and the gradients of the last states.
template <class T>
struct Backward {
  Steps steps;
  const T* w;      // [G*H, H] W_hh
  const T* y;      // [N, H] h_t of forward
  const T* h0;     // [B, H] or null for zeros
  const T* c0;     // [B, H] or null for zeros; LSTM only
  const T* gates;  // [N, G*H] Forward::x after forward; RNN: not read
  const T* c_all;  // [N, H] of forward; LSTM only
  const T* hn;     // [N, H] of forward; GRU only
  const T* dy;     // [N, H] dL/dy, or null for zeros
  T* dh;           // [B, H] in: dL/d(last h) of each sample. out: dL/dh_0
  T* dc;           // [B, H] the same for c; LSTM only
  T* dx;           // [N, G*H] out: dL/d(x of Forward)
  T* dhn;          // [N, H] out: dL/d(hn); GRU only
  Clip clip;       // clip dL/dh_t at every step, as Graves 2013
  T limit;         // each value into [-limit, limit], or each sample's norm to at most limit
  int64_t* clipped;  // out: rows (steps and samples) at which the clip changed something
  T* norms;        // [3, N] out, or null: norms of dL/dh_t before this step's clip, of the costate's
                   // part e_t, of dL/dc_t; the last two are zero without c
  T* dh_all;       // [N, H] out, or null: dL/dh_t before this step's clip
  T* e_all;        // [N, H] out, or null: e_t, the part of dL/dc_t not through h_t; LSTM only
};

// c = a b; each of a and b has one stride of 1.
template <class T>
struct Product {
  int64_t M, N, K;
  const T* a;       // [M, K], element (m, k) at a[m * a_row + k * a_col]
  int64_t a_row, a_col;
  const T* b;       // [K, N], element (k, n) at b[k * b_row + n * b_col]
  int64_t b_row, b_col;
  const T* bias;    // [N] added to each row, or null
  T* c;             // [M, N], row m at c + m * c_row
  int64_t c_row;
  T* sums;          // [M] out, or null: the sum of each row of a. Needs a_row = 1
  bool bf16;        // as in Steps
};

// How work reaches threads: run calls body(context, i) once for each i < parts, at best at once.
struct Pool {
  int threads;
  void (*run)(int parts, void (*body)(void* context, int part), void* context);
};

// Instruction set in use: "baseline", "avx2", "avx512" or "avx512bf16", the best this processor has unless the
// environment variable BPTT_ISA names one. Throws std::runtime_error if that one is not to be had.
const char* isa();

template <class T> void forward(const Forward<T>& f, const Pool& pool);

// W_hh [G*H, H] in the order in which forward reads it, for calls that share it: to[packed_size],
// best on a cache line's boundary. It depends on the steps' cell, H and bf16 alone.
template <class T> int64_t packed_size(const Steps& steps);
template <class T> void pack(const Steps& steps, const T* w, const Pool& pool, T* to);

template <class T> void backward(const Backward<T>& b, const Pool& pool);
template <class T> void product(const Product<T>& p, const Pool& pool);

// y[i] = tanh(x[i]) or 1 / (1 + exp(-x[i])), as the recurrence computes them; y may be x.
template <class T> void tanh(const T* x, T* y, int64_t n);
template <class T> void sigmoid(const T* x, T* y, int64_t n);

}  // namespace bptt
