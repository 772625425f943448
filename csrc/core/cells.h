// What each cell does with its pre-activations, one vector of hidden units at a time.
//
// G gates; a panel of the forward product holds U vectors of units for each gate, so that all gates
// of a unit leave the register tile together. kHidden: the cell keeps W_hn h_{t-1} + b_hn apart.
#pragma once

#include "activation.h"

namespace bptt::BPTT_ISA {

// One row at one vector of units, forward. Arrays are those of bptt::Forward, at this row and unit;
// gate g of x lies g * H further. n: live lanes.
template <class T>
struct Ahead {
  T* x;
  int64_t H, n;
  const T* b_hn;
  Vec<T> h;  // h_{t-1}
  T* c;      // c_{t-1}, becomes c_t
  T* c_all;
  T* hn;
  bool save;

  BPTT_INLINE Vec<T> input(int g) const { return load(x + g * H, n); }
  BPTT_INLINE void keep(int g, Vec<T> v) const { store(x + g * H, v, n); }
};

// One row at one vector of units, backward.
template <class T>
struct Back {
  const T* gates;
  int64_t H, n;
  Vec<T> h, h_before;  // h_t, h_{t-1}
  Vec<T> c, c_before;
  Vec<T> hn;
  Vec<T> dh;  // dL/dh_t
  Vec<T> dc;  // in: e_t. out: e_{t-1}
  Vec<T> dc_total;
  Vec<T> carry;  // out: the share of dL/dh_{t-1} that does not pass through W_hh

  BPTT_INLINE Vec<T> gate(int g) const { return load(gates + g * H, n); }
};

template <class T>
struct RnnTanh {
  static constexpr int G = 1, U = 4;
  static constexpr bool kCell = false, kHidden = false, kCarry = false;
  static BPTT_INLINE Vec<T> forward(const Vec<T> (&p)[1], const Ahead<T>& at) {
    return tanh<T>(at.input(0) + p[0]);
  }
  static BPTT_INLINE void backward(Back<T>& at, Vec<T> (&dx)[1], Vec<T>&) {
    dx[0] = at.dh * (broadcast(T(1)) - at.h * at.h);
  }
};

template <class T>
struct RnnRelu {
  static constexpr int G = 1, U = 4;
  static constexpr bool kCell = false, kHidden = false, kCarry = false;
  static BPTT_INLINE Vec<T> forward(const Vec<T> (&p)[1], const Ahead<T>& at) {
    return relu<T>(at.input(0) + p[0]);
  }
  static BPTT_INLINE void backward(Back<T>& at, Vec<T> (&dx)[1], Vec<T>&) {
    dx[0] = at.h <= Vec<T>{} ? Vec<T>{} : at.dh;
  }
};

// r, z = sigmoid(x + W h); n = tanh(x_n + r hn), hn = W_hn h + b_hn; h_t = n + z (h - n)
template <class T>
struct Gru {
  static constexpr int G = 3, U = 1;
  static constexpr bool kCell = false, kHidden = true, kCarry = true;
  static BPTT_INLINE Vec<T> forward(const Vec<T> (&p)[3], const Ahead<T>& at) {
    const Vec<T> r = sigmoid<T>(at.input(0) + p[0]);
    const Vec<T> z = sigmoid<T>(at.input(1) + p[1]);
    const Vec<T> hn = at.b_hn ? p[2] + load(at.b_hn, at.n) : p[2];
    const Vec<T> n = tanh<T>(at.input(2) + r * hn);
    if (at.save) {
      at.keep(0, r);
      at.keep(1, z);
      at.keep(2, n);
      store(at.hn, hn, at.n);
    }
    return n + z * (at.h - n);
  }
  static BPTT_INLINE void backward(Back<T>& at, Vec<T> (&dx)[3], Vec<T>& dhn) {
    const Vec<T> one = broadcast(T(1)), r = at.gate(0), z = at.gate(1), n = at.gate(2);
    dx[2] = at.dh * (one - z) * (one - n * n);
    dx[1] = at.dh * (at.h_before - n) * z * (one - z);
    dx[0] = dx[2] * at.hn * r * (one - r);
    dhn = dx[2] * r;
    at.carry = at.dh * z;
  }
};

// i, f, o = sigmoid(x + W h), g = tanh(x + W h); c_t = f c + i g; h_t = o tanh(c_t)
template <class T>
struct Lstm {
  static constexpr int G = 4, U = 1;
  static constexpr bool kCell = true, kHidden = false, kCarry = false;
  static BPTT_INLINE Vec<T> forward(const Vec<T> (&p)[4], const Ahead<T>& at) {
    const Vec<T> i = sigmoid<T>(at.input(0) + p[0]);
    const Vec<T> f = sigmoid<T>(at.input(1) + p[1]);
    const Vec<T> g = tanh<T>(at.input(2) + p[2]);
    const Vec<T> o = sigmoid<T>(at.input(3) + p[3]);
    const Vec<T> c = f * load(at.c, at.n) + i * g;
    store(at.c, c, at.n);
    if (at.save) {
      at.keep(0, i);
      at.keep(1, f);
      at.keep(2, g);
      at.keep(3, o);
      store(at.c_all, c, at.n);
    }
    return o * tanh<T>(c);
  }
  static BPTT_INLINE void backward(Back<T>& at, Vec<T> (&dx)[4], Vec<T>&) {
    const Vec<T> one = broadcast(T(1));
    const Vec<T> i = at.gate(0), f = at.gate(1), g = at.gate(2), o = at.gate(3);
    const Vec<T> tanh_c = tanh<T>(at.c);
    at.dc_total = at.dc + at.dh * o * (one - tanh_c * tanh_c);
    dx[0] = at.dc_total * g * i * (one - i);
    dx[1] = at.dc_total * at.c_before * f * (one - f);
    dx[2] = at.dc_total * i * (one - g * g);
    dx[3] = at.dh * tanh_c * o * (one - o);
    at.dc = at.dc_total * f;
  }
};

}  // namespace bptt::BPTT_ISA
