// A libFuzzer target over every entry point of the core. Build: -DBPTT_FUZZ=ON with clang. BPTT_ISA
// names the instruction set, so a run for each shows that all agree with the same scalar formulas.
//
// The first byte chooses: a whole layer (its pre-activations, forward, backward, sums, last states and
// the forward pass alone), a product, or the activations on any bits. Held: no access beyond an array
// (sanitizers), results equal to the formulas (check.h), so no NaN from finite numbers; and the same
// numbers on every pool of threads.
//
// Without libFuzzer, fuzz_cases COUNT SEED ISA runs that many random inputs, and exits 77 (skipped)
// where the processor does not have the instruction set.
#include <cstdio>
#include <random>
#include <stdexcept>
#include <thread>

#include "../core/infer.h"
#include "check.h"

namespace fuzz {
namespace {

void run_threads(int parts, void (*body)(void*, int), void* context) {
  std::vector<std::thread> threads;
  for (int i = 0; i < parts; ++i) threads.emplace_back(body, context, i);
  for (std::thread& t : threads) t.join();
}

void run_in_turn(int parts, void (*body)(void*, int), void* context) {
  for (int i = 0; i < parts; ++i) body(context, i);
}

const bptt::Pool kAlone{1, run_in_turn};
const bptt::Pool kPools[] = {{2, run_in_turn}, {2, run_threads}, {3, run_threads}};

// Equal, where two that are not numbers are.
template <class T>
void same(const char* what, const std::vector<T>& a, const std::vector<T>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(a[i] == b[i] || (a[i] != a[i] && b[i] != b[i]))) fail(what, a[i], b[i]);
}

template <class T>
Outcome<T> run(const Case<T>& k, const bptt::Pool& pool) {
  const int64_t rows = k.N * k.H;
  const bptt::Steps steps = k.where();
  Outcome<T> o;
  o.x.resize(k.N * k.width);
  bptt::preactivate<T>(steps, k.input(), given(k.b_ih), given(k.b_hh), o.x.data(), bptt::product<T>, pool);
  o.gates = o.x;
  o.y.resize(rows);
  o.c = k.c0.empty() ? std::vector<T>(k.B * k.H) : k.c0;
  if (k.lstm()) o.c_all.resize(rows), o.e_all.resize(rows);
  if (k.gru()) o.hn.resize(rows), o.dhn.resize(rows);
  const T* b_hn = k.gru() && !k.b_hh.empty() ? k.b_hh.data() + 2 * k.H : nullptr;
  bptt::forward<T>({steps, o.gates.data(), k.w.data(), b_hn, given(k.h0), k.lstm() ? o.c.data() : nullptr,
                    o.y.data(), o.c_all.data(), o.hn.data(), true},
                   pool);
  o.h.resize(k.B * k.H);
  bptt::last_states<T>(steps, o.y.data(), o.h.data());
  o.dh = k.dh;
  o.dc = k.dc;
  o.dx.resize(k.N * k.width);
  o.dh_all.resize(rows);
  o.norms.resize(3 * k.N);
  bptt::backward<T>({steps, k.w.data(), o.y.data(), given(k.h0), given(k.c0), o.gates.data(), o.c_all.data(),
                     o.hn.data(), given(k.dy), o.dh.data(), k.lstm() ? o.dc.data() : nullptr, o.dx.data(),
                     o.dhn.data(), k.clip, k.limit, &o.clipped, o.norms.data(), o.dh_all.data(),
                     k.lstm() ? o.e_all.data() : nullptr},
                    pool);
  if (!k.tokens) o.d_x.resize(k.N * k.I);
  o.d_w_ih.resize(k.width * k.I);
  o.d_w_hh.resize(k.width * k.H);
  o.d_b_ih.resize(k.width);
  o.d_b_hh.resize(k.width);
  bptt::sum_over_steps<T>(steps, k.input(),
                          {o.dx.data(), o.dhn.data(), o.y.data(), given(k.h0),
                           k.tokens ? nullptr : o.d_x.data(), o.d_w_ih.data(), o.d_w_hh.data(),
                           o.d_b_ih.data(), o.d_b_hh.data()},
                          bptt::product<T>, pool);
  return o;
}

// The forward pass alone gives forward's numbers, whatever its stretches.
template <class T>
void check_inference(const Case<T>& k, const Outcome<T>& o, const bptt::Pool& pool, int64_t rows) {
  std::vector<T> y(o.y.size()), c = k.c0.empty() ? std::vector<T>(k.B * k.H) : k.c0;
  bptt::infer<T>({k.where(), k.input(), given(k.b_ih), given(k.b_hh), k.w.data(), given(k.h0),
                  k.lstm() ? c.data() : nullptr, y.data()},
                 bptt::product<T>, pool, rows);
  same("forward alone, y", y, o.y);
  if (k.lstm()) same("forward alone, c", c, o.c);
}

template <class T>
void layer(Bytes& bytes) {
  const bptt::Pool& pool = kPools[bytes.pick(0, 2)];
  const int64_t stretch = bytes.pick(0, 9);
  const Case<T> k(bytes);
  const Outcome<T> one = run(k, kAlone), other = run(k, pool);
  const bool by_norm = k.clip == bptt::Clip::norm;  // a norm is the sum of the threads' sums
  if (!k.wild) Check<T>{k, one}.run();
  if (!k.wild && by_norm) Check<T>{k, other}.run();
  check_inference(k, one, pool, stretch);
  same("y on several threads", one.y, other.y);
  if (by_norm) return;
  same("dx on several threads", one.dx, other.dx);
  same("d_w_hh on several threads", one.d_w_hh, other.d_w_hh);
  same("dL/dh_0 on several threads", one.dh, other.dh);
  if (one.clipped != other.clipped) fail("clipped on several threads", one.clipped, other.clipped);
}

template <class T>
void product(Bytes& bytes) {
  const bool large = bytes.pick(0, 15) == 15, bf16 = bytes.flag() && sizeof(T) == sizeof(float);
  const int64_t M = bytes.pick(1, large ? 150 : 40), N = bytes.pick(1, large ? 150 : 40);
  const int64_t K = large ? 3 * bytes.pick(1, 200) : bytes.pick(1, 40);
  const bool a_dense = bytes.flag(), b_dense = bytes.flag(), biased = bytes.flag();
  const int64_t more = bytes.pick(0, 3);  // a row's distance beyond its length
  const int64_t a_row = a_dense ? K + more : 1, a_col = a_dense ? 1 : M + more;
  const int64_t b_row = b_dense ? N + more : 1, b_col = b_dense ? 1 : K + more;
  const auto a = numbers<T>((M - 1) * a_row + (K - 1) * a_col + 1, bytes);
  const auto b = numbers<T>((K - 1) * b_row + (N - 1) * b_col + 1, bytes);
  const auto bias = numbers<T>(N, bytes);
  const T kept = T(7);  // what lies between c's rows stays as it is
  std::vector<T> c((M - 1) * (N + more) + N, kept), sums(a_dense ? 0 : M);
  bptt::product<T>({M, N, K, a.data(), a_row, a_col, b.data(), b_row, b_col, biased ? bias.data() : nullptr,
                    c.data(), N + more, a_dense ? nullptr : sums.data(), bf16},
                   kPools[bytes.pick(0, 2)]);
  for (int64_t m = 0; m < M; ++m) {
    Sum row;
    for (int64_t k = 0; k < K; ++k) row.add(a[m * a_row + k * a_col]);
    if (!a_dense) near("sum of a row", sums[m], row.value, row.size, K);
    for (int64_t n = 0; n < N + more && m * (N + more) + n < int64_t(c.size()); ++n) {
      Sum sum;
      for (int64_t k = 0; n < N && k < K; ++k)
        sum.add(operand(a[m * a_row + k * a_col], bf16), operand(b[k * b_row + n * b_col], bf16));
      if (n < N && biased) sum.add(bias[n]);
      if (n >= N) sum.value = kept;
      near("product", c[m * (N + more) + n], sum.value, sum.size, K);
    }
  }
}

// Within 3 units in the last place on any bits; below the normal numbers either is zero.
template <class T>
void activation(Bytes& bytes) {
  const bool logistic = bytes.flag();
  std::vector<T> x;
  while (bytes.left() >= sizeof(T)) x.push_back(bytes.raw<T>());
  std::vector<T> y(x.size());
  (logistic ? bptt::sigmoid<T> : bptt::tanh<T>)(x.data(), y.data(), x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double at = x[i], exact = logistic ? 1 / (1 + std::exp(-at)) : std::tanh(at);
    if (x[i] != x[i]) {
      if (y[i] == y[i]) fail("an activation of what is not a number", y[i], x[i]);
      continue;
    }
    const T rounded = static_cast<T>(exact), least = std::numeric_limits<T>::min();
    const T unit = std::abs(std::nextafter(rounded, T(2)) - rounded);
    const long double allowed = 3 * (long double)std::max(unit, std::numeric_limits<T>::denorm_min()) + least;
    if (!(std::abs(y[i] - exact) <= allowed)) fail(logistic ? "sigmoid" : "tanh", y[i], double(exact));
  }
}

void any(const uint8_t* data, std::size_t size) {
  Bytes bytes(data, size);
  switch (bytes.pick(0, 15)) {
    case 0: return product<float>(bytes);
    case 1: return product<double>(bytes);
    case 2: return activation<float>(bytes);
    case 3: return activation<double>(bytes);
    case 4: case 5: case 6: case 7: return layer<double>(bytes);
    default: return layer<float>(bytes);
  }
}

}  // namespace
}  // namespace fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  fuzz::any(data, size);
  return 0;
}

#ifndef BPTT_LIBFUZZER
int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 1000;
  std::mt19937 random(argc > 2 ? std::atoi(argv[2]) : 0);
  if (argc > 3) setenv("BPTT_ISA", argv[3], 1);
  try {
    std::printf("instruction set: %s\n", bptt::isa());
  } catch (const std::runtime_error& fault) {
    std::printf("skipped: %s\n", fault.what());
    return 77;
  }
  for (int i = 0; i < count; ++i) {
    std::vector<uint8_t> bytes(random() % 200);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%d cases\n", count);
}
#endif
