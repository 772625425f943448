// The torch-free core against its formulas in long double, on each instruction set.
//
// core_test ISA: exits 77 (skipped) where the processor does not have it. Arrays end at a guard, so
// that the sanitizers see any access beyond them.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "bptt.h"
#include "infer.h"
#include "layer.h"

namespace {

using bptt::Cell;
int failures = 0;

void expect(bool holds, const char* what, double got, double limit) {
  if (holds) return;
  ++failures;
  std::printf("FAILED %s: %g, limit %g\n", what, got, limit);
}

// Pools: one that runs parts side by side, and one that runs them one after the other.
void run_threads(int parts, void (*body)(void*, int), void* context) {
  std::vector<std::thread> threads;
  for (int i = 0; i < parts; ++i) threads.emplace_back(body, context, i);
  for (std::thread& t : threads) t.join();
}
void run_in_turn(int parts, void (*body)(void*, int), void* context) {
  for (int i = 0; i < parts; ++i) body(context, i);
}
const bptt::Pool kPools[] = {{1, run_in_turn}, {2, run_threads}, {3, run_threads}, {2, run_in_turn}};

using Real = long double;
template <class T>
using Array = std::vector<T>;

template <class T>
Array<T> random_array(int64_t n, std::mt19937& random, double scale = 1) {
  std::normal_distribution<double> normal(0, scale);
  Array<T> a(n);
  for (T& x : a) x = static_cast<T>(normal(random));
  return a;
}

Real sigmoid(Real x) { return 1 / (1 + std::exp(-x)); }

struct Shape {
  Cell cell;
  int64_t T, B, H;
  std::vector<int64_t> lengths;  // falling
  bool reverse;

  std::vector<int64_t> offset() const {
    std::vector<int64_t> at(T + 1, 0);
    for (int64_t t = 0; t < T; ++t) {
      at[t + 1] = at[t];
      for (int64_t length : lengths) at[t + 1] += length > t;
    }
    return at;
  }
};

// One sample in long double: the loss sum(y * dy) + h_last . dh + c_last . dc and its derivative.
struct Oracle {
  const Shape& s;
  int64_t sample;
  std::function<Real(int64_t, int64_t)> x, dy;  // (step, unit)
  std::function<Real(int64_t)> h0, c0, b_hn;
  std::function<Real(int64_t, int64_t)> w;

  Array<Real> h, c;  // last states
  Array<Array<Real>> ys;

  void run() {
    const int64_t H = s.H, G = bptt::gates(s.cell);
    h.assign(H, 0);
    c.assign(H, 0);
    for (int64_t j = 0; j < H; ++j) h[j] = h0(j), c[j] = c0(j);
    ys.assign(s.T, {});
    for (int64_t i = 0; i < s.lengths[sample]; ++i) {
      const int64_t t = s.reverse ? s.lengths[sample] - 1 - i : i;
      Array<Real> p(G * H, 0), next(H);
      for (int64_t g = 0; g < G * H; ++g)
        for (int64_t k = 0; k < H; ++k) p[g] += w(g, k) * h[k];
      for (int64_t j = 0; j < H; ++j) {
        const auto pre = [&](int64_t g) { return x(t, g * H + j) + p[g * H + j]; };
        if (s.cell == Cell::rnn_tanh) next[j] = std::tanh(pre(0));
        if (s.cell == Cell::rnn_relu) next[j] = std::max<Real>(pre(0), 0);
        if (s.cell == Cell::gru) {
          const Real r = sigmoid(pre(0)), z = sigmoid(pre(1));
          const Real n = std::tanh(x(t, 2 * H + j) + r * (p[2 * H + j] + b_hn(j)));
          next[j] = (1 - z) * n + z * h[j];
        }
        if (s.cell == Cell::lstm) {
          c[j] = sigmoid(pre(1)) * c[j] + sigmoid(pre(0)) * std::tanh(pre(2));
          next[j] = sigmoid(pre(3)) * std::tanh(c[j]);
        }
      }
      h = next;
      ys[t] = h;
    }
  }
};

template <class T>
struct Problem {
  Shape s;
  Array<int64_t> offset;
  int64_t N, G;
  bool bf16 = false;
  Array<T> x, w, b_hn, h0, c0, dy, dh, dc;

  Problem(const Shape& shape, std::mt19937& random) : s(shape), offset(s.offset()) {
    N = offset[s.T];
    G = bptt::gates(s.cell);
    x = random_array<T>(N * G * s.H, random);
    w = random_array<T>(G * s.H * s.H, random, 1 / std::sqrt(double(s.H)));
    b_hn = random_array<T>(s.H, random);
    for (Array<T>* a : {&h0, &c0, &dh, &dc}) *a = random_array<T>(s.B * s.H, random);
    dy = random_array<T>(N * s.H, random);
  }

  bptt::Steps steps() const { return {s.cell, s.T, s.B, s.H, offset.data(), s.reverse, bf16};
  }

  // What forward and backward return, in one array.
  struct Result {
    Array<T> gates, y, c, c_all, hn, dh, dc, dx, dhn, norms, dh_all, e_all;
    int64_t clipped;
  };

  Result run(const bptt::Pool& pool, bptt::Clip clip = bptt::Clip::none, T limit = 0) const {
    const bool lstm = s.cell == Cell::lstm, gru = s.cell == Cell::gru;
    const int64_t rows = N * s.H;
    Result r{x, Array<T>(rows), c0, Array<T>(rows), Array<T>(rows), dh, dc, Array<T>(G * rows),
             Array<T>(rows), Array<T>(3 * N), Array<T>(rows), Array<T>(rows), -1};
    bptt::forward<T>({steps(), r.gates.data(), w.data(), gru ? b_hn.data() : nullptr, h0.data(),
                      lstm ? r.c.data() : nullptr, r.y.data(), lstm ? r.c_all.data() : nullptr,
                      gru ? r.hn.data() : nullptr, true},
                     pool);
    bptt::backward<T>({steps(), w.data(), r.y.data(), h0.data(), lstm ? c0.data() : nullptr,
                       r.gates.data(), r.c_all.data(), r.hn.data(), dy.data(), r.dh.data(),
                       lstm ? r.dc.data() : nullptr, r.dx.data(), r.dhn.data(), clip, limit,
                       &r.clipped, r.norms.data(), r.dh_all.data(),
                       lstm ? r.e_all.data() : nullptr},
                      pool);
    return r;
  }

  // The loss in long double, with one number of x moved.
  Real loss(int64_t moved, Real by) const {
    Real total = 0;
    for (int64_t b = 0; b < s.B; ++b) {
      const auto row = [&](int64_t t) { return offset[t] + b; };
      const int64_t H = s.H;
      Oracle o{s, b,
               [&](int64_t t, int64_t j) {
                 const int64_t at = row(t) * G * H + j;
                 return Real(x[at]) + (at == moved ? by : 0);
               },
               [&](int64_t t, int64_t j) { return Real(dy[row(t) * H + j]); },
               [&](int64_t j) { return Real(h0[b * H + j]); },
               [&](int64_t j) { return Real(c0[b * H + j]); },
               [&](int64_t j) { return Real(b_hn[j]); },
               [&](int64_t g, int64_t k) { return Real(w[g * H + k]); }, {}, {}, {}};
      o.run();
      for (int64_t t = 0; t < s.lengths[b]; ++t)
        for (int64_t j = 0; j < H; ++j) total += o.ys[t][j] * o.dy(t, j);
      for (int64_t j = 0; j < H; ++j) {
        total += o.h[j] * dh[b * H + j];
        if (s.cell == Cell::lstm) total += o.c[j] * dc[b * H + j];
      }
    }
    return total;
  }
};

template <class T>
bool same(const Array<T>& a, const Array<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Gradients by central differences of the oracle, and bit-identity over pools.
template <class T>
void test_recurrence(const Shape& shape, std::mt19937& random) {
  const Problem<T> p(shape, random);
  const auto first = p.run(kPools[0]);
  for (const bptt::Pool& pool : kPools) {
    const auto other = p.run(pool);
    const bool equal = same(first.y, other.y) && same(first.dx, other.dx) &&
                       same(first.dh, other.dh) && same(first.c, other.c);
    expect(equal, "bit-identical on every pool", pool.threads, 0);
  }
  std::uniform_int_distribution<int64_t> pick(0, p.N * p.G * p.s.H - 1);
  const double tolerance = sizeof(T) == 4 ? 2e-4 : 1e-8;
  for (int i = 0; i < 3; ++i) {
    const int64_t at = pick(random);
    const Real step = 1e-5L, slope = (p.loss(at, step) - p.loss(at, -step)) / (2 * step);
    const double error = std::abs(double(slope) - double(first.dx[at]));
    expect(error < tolerance * (1 + std::abs(double(slope))), "dx", error, tolerance);
  }
}

// Clipped gradients stay within the limit, everything is counted, a huge limit changes nothing.
template <class T>
void test_clip(const Shape& shape, std::mt19937& random) {
  const Problem<T> p(shape, random);
  const auto plain = p.run(kPools[0]);
  for (bptt::Clip clip : {bptt::Clip::value, bptt::Clip::norm})
    for (const bptt::Pool& pool : kPools) {
      const auto loose = p.run(pool, clip, T(1e30));
      expect(same(loose.dx, plain.dx) && loose.clipped == 0, "loose clip", loose.clipped, 0);
      const auto tight = p.run(pool, clip, T(1e-6));
      expect(tight.clipped == p.N, "rows clipped", tight.clipped, p.N);
      const T largest = [&] {
        T m = 0;
        for (T d : tight.dx) m = std::max(m, std::abs(d));
        return m;
      }();
      if (shape.cell != Cell::lstm) expect(largest < 1e-5, "clipped dx", largest, 1e-5);
    }
}

template <class T>
double ulps(T got, long double exact) {
  const T nearest = static_cast<T>(exact);
  const T next = std::nextafter(nearest, std::numeric_limits<T>::infinity());
  return std::abs(static_cast<double>((got - exact) / (next - nearest)));
}

// Accuracy over the whole range, and the special values.
template <class T>
void test_activations() {
  Array<T> x;
  for (double e = -30; e < 6; e += 0.0005) x.insert(x.end(), {T(std::exp2(e)), T(-std::exp2(e))});
  Array<T> t(x.size()), s(x.size());
  bptt::tanh(x.data(), t.data(), x.size());
  bptt::sigmoid(x.data(), s.data(), x.size());
  double worst_tanh = 0, worst_sigmoid = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    worst_tanh = std::max(worst_tanh, ulps<T>(t[i], std::tanh((long double)x[i])));
    if (x[i] > -80) worst_sigmoid = std::max(worst_sigmoid, ulps<T>(s[i], sigmoid(x[i])));
  }
  std::printf("  ulp: tanh %.2f, sigmoid %.2f\n", worst_tanh, worst_sigmoid);
  expect(worst_tanh <= 3, "tanh ulp", worst_tanh, 3);
  expect(worst_sigmoid <= 3, "sigmoid ulp", worst_sigmoid, 3);
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  T special[] = {inf, -inf, nan, T(0), T(-0.0)}, out[5];
  bptt::tanh(special, out, 5);
  expect(out[0] == 1 && out[1] == -1 && std::isnan(out[2]) && out[3] == 0, "tanh special", 0, 0);
  bptt::sigmoid(special, out, 5);
  expect(out[0] == 1 && out[1] == 0 && std::isnan(out[2]) && out[3] == T(0.5), "sigmoid special", 0, 0);
}

// The bfloat16 nearest to x, ties to even.
float rounded(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  std::memcpy(&x, &bits, sizeof bits);
  return x;
}

// With bfloat16: the same bits on every pool, near the float's results, and not equal to them.
void test_bf16(const Shape& shape, std::mt19937& random) {
  Problem<float> p(shape, random);
  const auto plain = p.run(kPools[0]);
  p.bf16 = true;
  const auto first = p.run(kPools[0]);
  double worst = 0;
  for (std::size_t i = 0; i < plain.y.size(); ++i)
    worst = std::max(worst, std::abs(double(plain.y[i]) - first.y[i]));
  expect(worst < 0.05, "bf16 y", worst, 0.05);
  expect(worst > 0, "bf16 rounds", worst, 0);
  for (const bptt::Pool& pool : kPools) {
    const auto other = p.run(pool);
    expect(same(first.y, other.y) && same(first.dx, other.dx), "bf16 bits", pool.threads, 0);
  }
}

// A product of bfloat16s is that of the rounded operands.
void test_bf16_product(int64_t M, int64_t N, int64_t K, bool a_dense, bool b_dense,
                       std::mt19937& random) {
  const auto a = random_array<float>(M * K, random), b = random_array<float>(K * N, random);
  const int64_t a_row = a_dense ? K : 1, a_col = a_dense ? 1 : M;
  const int64_t b_row = b_dense ? N : 1, b_col = b_dense ? 1 : K;
  for (const bptt::Pool& pool : kPools) {
    Array<float> c(M * N);
    bptt::product<float>({M, N, K, a.data(), a_row, a_col, b.data(), b_row, b_col, nullptr,
                          c.data(), N, nullptr, true},
                         pool);
    double worst = 0;
    for (int64_t m = 0; m < M; ++m)
      for (int64_t n = 0; n < N; ++n) {
        Real exact = 0;
        for (int64_t k = 0; k < K; ++k)
          exact += Real(rounded(a[m * a_row + k * a_col])) * rounded(b[k * b_row + n * b_col]);
        worst = std::max(worst, std::abs(double(c[m * N + n] - exact)));
      }
    expect(worst < 2e-6 * (8 + K), "bf16 product", worst, 2e-6 * (8 + K));
  }
}

template <class T>
void test_product(int64_t M, int64_t N, int64_t K, bool a_dense, bool b_dense, std::mt19937& random) {
  const auto a = random_array<T>(M * K, random), b = random_array<T>(K * N, random);
  const auto bias = random_array<T>(N, random);
  const int64_t a_row = a_dense ? K : 1, a_col = a_dense ? 1 : M;
  const int64_t b_row = b_dense ? N : 1, b_col = b_dense ? 1 : K;
  for (const bptt::Pool& pool : kPools) {
    Array<T> c(M * N), sums(M);
    bptt::product<T>({M, N, K, a.data(), a_row, a_col, b.data(), b_row, b_col, bias.data(), c.data(),
                      N, a_dense ? nullptr : sums.data(), false},
                     pool);
    double worst = 0;
    for (int64_t m = 0; m < M; ++m)
      for (int64_t n = 0; n < N; ++n) {
        Real exact = bias[n];
        for (int64_t k = 0; k < K; ++k)
          exact += Real(a[m * a_row + k * a_col]) * b[k * b_row + n * b_col];
        worst = std::max(worst, std::abs(double(c[m * N + n] - exact)));
      }
    for (int64_t m = 0; m < M && !a_dense; ++m) {
      Real exact = 0;
      for (int64_t k = 0; k < K; ++k) exact += a[m + k * M];
      worst = std::max(worst, std::abs(double(sums[m] - exact)));
    }
    const double limit = (sizeof(T) == 4 ? 2e-6 : 4e-15) * (8 + K);
    expect(worst < limit, "product", worst, limit);
  }
}

// A forward pass in stretches gives the bits of one in a single stretch, and of forward.
template <class T>
void test_infer(const Shape& shape, bool ids, std::mt19937& random) {
  const int64_t I = 5, width = bptt::gates(shape.cell) * shape.H;
  const Array<int64_t> offset = shape.offset();
  const int64_t N = offset.back(), state = shape.B * shape.H;
  const bptt::Steps steps{shape.cell, shape.T, shape.B, shape.H, offset.data(), shape.reverse, false};
  const auto x = random_array<T>(N * I, random), w_ih = random_array<T>(width * I, random);
  const auto w = random_array<T>(width * shape.H, random, 0.3), h0 = random_array<T>(state, random);
  const auto b_ih = random_array<T>(width, random), b_hh = random_array<T>(width, random);
  const auto c0 = random_array<T>(state, random);
  Array<int64_t> symbols(N);
  for (int64_t i = 0; i < N; ++i) symbols[i] = i % I;
  const bptt::Input<T> in{ids ? nullptr : x.data(), ids ? symbols.data() : nullptr, I, w_ih.data()};
  for (const bptt::Pool& pool : kPools) {
    Array<T> gates(N * width), expected(N * shape.H), last = c0;
    bptt::preactivate<T>(steps, in, b_ih.data(), b_hh.data(), gates.data(), bptt::product<T>, pool);
    const T* b_hn = shape.cell == Cell::gru ? b_hh.data() + 2 * shape.H : nullptr;
    bptt::forward<T>({steps, gates.data(), w.data(), b_hn, h0.data(), last.data(), expected.data(),
                      nullptr, nullptr, false},
                     pool);
    for (int64_t rows : {1, 4, 0}) {
      Array<T> c = c0, y(N * shape.H);
      bptt::infer<T>({steps, in, b_ih.data(), b_hh.data(), w.data(), h0.data(), c.data(), y.data()},
                     bptt::product<T>, pool, rows);
      expect(same(y, expected), "infer, y", rows, 0);
      expect(shape.cell != Cell::lstm || same(c, last), "infer, c", rows, 0);
    }
  }
}

// Norms of gradients whose squares no float can hold.
void test_norms_of_tiny_and_huge() {
  const int64_t offset[] = {0, 1};
  for (float size : {1e-30f, 1e-20f, 1e25f}) {
    Array<float> w(9, 0.f), y(3, 0.f), dy(3, size), dh(3, 0.f), d(3), norms(3);
    int64_t clipped = 0;
    bptt::Backward<float> b{};
    b.steps = {Cell::rnn_tanh, 1, 1, 3, offset, false, false};
    b.w = w.data(), b.y = y.data(), b.dy = dy.data(), b.dh = dh.data(), b.dx = d.data();
    b.clipped = &clipped, b.norms = norms.data();
    bptt::backward<float>(b, kPools[0]);
    const double error = std::abs(norms[0] / (size * std::sqrt(3.0)) - 1);
    expect(error < 1e-6, "norm of a tiny or huge gradient", error, 1e-6);
  }
}

template <class T>
void test_all() {
  std::mt19937 random(7);
  test_activations<T>();
  for (Cell cell : {Cell::rnn_tanh, Cell::rnn_relu, Cell::gru, Cell::lstm})
    for (bool reverse : {false, true}) {
      test_recurrence<T>({cell, 1, 1, 1, {1}, reverse}, random);
      test_recurrence<T>({cell, 5, 3, 7, {5, 3, 1}, reverse}, random);
      test_recurrence<T>({cell, 6, 9, 19, {6, 6, 5, 5, 4, 3, 3, 2, 1}, reverse}, random);
      test_recurrence<T>({cell, 3, 2, 70, {3, 2}, reverse}, random);
      test_recurrence<T>({cell, 30, 1, 129, {30}, reverse}, random);  // a team's size
      test_clip<T>({cell, 5, 3, 7, {5, 3, 1}, reverse}, random);
      test_clip<T>({cell, 20, 2, 129, {20, 11}, reverse}, random);
      for (bool ids : {false, true}) {
        test_infer<T>({cell, 7, 3, 9, {7, 4, 2}, reverse}, ids, random);
        test_infer<T>({cell, 6, 2, 129, {6, 6}, reverse}, ids, random);
      }
    }
  for (bool a_dense : {true, false})
    for (bool b_dense : {true, false}) {
      test_product<T>(1, 1, 1, a_dense, b_dense, random);
      test_product<T>(7, 5, 300, a_dense, b_dense, random);
      test_product<T>(130, 67, 33, a_dense, b_dense, random);
      test_product<T>(5, 600, 20, a_dense, b_dense, random);
    }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) setenv("BPTT_ISA", argv[1], 1);
  try {
    std::printf("instruction set: %s\n", bptt::isa());
  } catch (const std::runtime_error& fault) {
    std::printf("skipped: %s\n", fault.what());
    return 77;
  }
  std::mt19937 random(3);
  for (Cell cell : {Cell::rnn_tanh, Cell::gru, Cell::lstm})
    for (bool reverse : {false, true}) {
      test_bf16({cell, 4, 3, 7, {4, 3, 3}, reverse}, random);
      test_bf16({cell, 5, 1, 131, {5}, reverse}, random);
    }
  for (bool a_dense : {true, false})
    for (bool b_dense : {true, false}) {
      test_bf16_product(7, 5, 301, a_dense, b_dense, random);
      test_bf16_product(130, 67, 33, a_dense, b_dense, random);
    }
  test_norms_of_tiny_and_huge();
  test_all<float>();
  test_all<double>();
  std::printf("%d failed\n", failures);
  return failures != 0;
}
