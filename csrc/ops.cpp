// Registers the native recurrence with PyTorch, through the stable ABI of libtorch: no symbol of
// Python and none of torch's C++ library, so one build serves every Python and torch from 2.10.
//
// Shapes and meanings are those of core/bptt.h and core/layer.h. An array that a cell does not have
// is an empty tensor on the way out and None on the way in. offset is None where all samples have T
// steps. With `tokens`, x holds ids and w_ih the table of pre-activations.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>
#include <thread>
#include <tuple>
#include <vector>

#include "core/bptt.h"
#include "core/contention.h"
#include "core/infer.h"
#include "core/layer.h"
#include "core/pages.h"
#include "core/team.h"

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Maybe = std::optional<Tensor>;

bptt::Contention contention;

// Time that the calling thread spent on a processor; the wall's where the system does not tell.
bptt::Contention::Duration on_processor() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec at;
  if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at) == 0)
    return std::chrono::seconds(at.tv_sec) + std::chrono::nanoseconds(at.tv_nsec);
#endif
  return bptt::Contention::Clock::now().time_since_epoch();
}

// Runs the parts on torch's threads, and notes how long the caller was at work itself.
void run_on_torch(int parts, void (*body)(void*, int), void* context) {
  using Clock = bptt::Contention::Clock;
  const auto caller = std::this_thread::get_id();
  const auto start = Clock::now();
  bptt::Contention::Duration worked{0};
  torch::stable::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    const bool mine = std::this_thread::get_id() == caller;
    const auto before = mine ? on_processor() : worked;
    for (int64_t i = begin; i < end; ++i) body(context, static_cast<int>(i));
    if (mine) worked += on_processor() - before;
  });
  const auto end = Clock::now();
  contention.report(parts, end - start, worked, end);
}

// A child of fork has none of the threads that torch's pool had, and would wait for them forever: from
// this library's loading on, which is at the first use of a layer, children keep to one thread.
std::atomic<bool> forked{false};
#if defined(__unix__) || defined(__APPLE__)
const int watching_forks = pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif

bptt::Pool pool() {
  if (forked.load(std::memory_order_relaxed)) return {1, run_on_torch};
  const int allowed = static_cast<int>(torch::stable::get_num_threads());
  return {contention.threads(allowed, bptt::Contention::Clock::now()), run_on_torch};
}

template <class T>
constexpr ScalarType kType = sizeof(T) == 4 ? ScalarType::Float : ScalarType::Double;

template <class T>
T* data(const Tensor& t) {
  return t.numel() ? static_cast<T*>(t.mutable_data_ptr()) : nullptr;
}

template <class T>
const T* data(const Maybe& t) {
  return t ? static_cast<const T*>(t->const_data_ptr()) : nullptr;
}

void check(const Tensor& t, const char* name, ScalarType type, int64_t numel) {
  STD_TORCH_CHECK(t.is_cpu(), name, " must be on the CPU");
  STD_TORCH_CHECK(t.scalar_type() == type, name, " has another dtype than the weights");
  STD_TORCH_CHECK(t.is_contiguous(), name, " must be contiguous");
  STD_TORCH_CHECK(t.numel() == numel, name, " has ", t.numel(), " elements, expected ", numel);
}

void check(const Maybe& t, const char* name, ScalarType type, int64_t numel) {
  if (t) check(*t, name, type, numel);
}

Tensor make(const Tensor& like, std::initializer_list<int64_t> shape, bool wanted = true) {
  if (!wanted) return torch::stable::new_empty(like, std::vector<int64_t>{0});
  Tensor made = torch::stable::new_empty(like, std::vector<int64_t>(shape));
  bptt::prefer_large_pages(made.mutable_data_ptr(), made.numel() * made.element_size());
  return made;
}

// Whether torch multiplies at full speed here: MKL does on Intel's processors alone.
// BPTT_PRODUCTS=torch|own decides instead, for tests.
bool fast_torch_products() {
  static const bool fast = [] {
    const char* wish = std::getenv("BPTT_PRODUCTS");
    if (wish && *wish) return std::strcmp(wish, "torch") == 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_is("intel") || std::strcmp(bptt::isa(), "baseline") == 0;
#else
    return true;
#endif
  }();
  return fast;
}

template <class T>
void multiply(const bptt::Product<T>& p, const bptt::Pool& pool) {
  if (p.bf16 || !fast_torch_products()) return bptt::product(p, pool);
  const auto matrix = [](const T* from, int64_t rows, int64_t columns, int64_t row, int64_t column) {
    return torch::stable::from_blob(const_cast<T*>(from), std::vector<int64_t>{rows, columns},
                                    std::vector<int64_t>{row, column},
                                    torch::stable::Device(torch::headeronly::DeviceType::CPU),
                                    kType<T>);
  };
  Tensor c = matrix(p.c, p.M, p.N, p.c_row, 1);
  torch::stable::copy_(c, torch::stable::matmul(matrix(p.a, p.M, p.K, p.a_row, p.a_col),
                                                matrix(p.b, p.K, p.N, p.b_row, p.b_col)));
  for (int64_t m = 0; p.bias && m < p.M; ++m)
    for (int64_t n = 0; n < p.N; ++n) p.c[m * p.c_row + n] += p.bias[n];
  for (int64_t m = 0; p.sums && m < p.M; ++m) p.sums[m] = 0;
  for (int64_t k = 0; p.sums && k < p.K; ++k)
    for (int64_t m = 0; m < p.M; ++m) p.sums[m] += p.a[k * p.a_col + m];
}

// What both directions are told: where the steps lie, the input, the weights.
struct Layer {
  Layer(int64_t cell, Tensor x, Tensor w_ih, Tensor w_hh, Maybe h0, Maybe c0, int64_t T, int64_t B,
        Maybe offset, bool reverse, bool tokens, bool bf16)
      : x(x), w_ih(w_ih), w_hh(w_hh), h0(h0), c0(c0), offset(offset), tokens(tokens) {
    STD_TORCH_CHECK(cell >= 0 && cell <= 3, "cell must be 0, 1, 2 or 3, got ", cell);
    STD_TORCH_CHECK(T > 0 && B > 0, "expected T > 0 and B > 0, got ", T, " and ", B);
    STD_TORCH_CHECK(w_hh.dim() == 2 && w_ih.dim() == 2, "weights must be matrices");
    type = w_hh.scalar_type();
    STD_TORCH_CHECK(type == ScalarType::Float || type == ScalarType::Double,
                    "expected float32 or float64");
    steps = {static_cast<bptt::Cell>(cell), T, B, w_hh.size(1), nullptr, reverse, bf16};
    STD_TORCH_CHECK(!bf16 || type == ScalarType::Float, "bf16 needs float32 tensors");
    width = bptt::gates(steps.cell) * steps.H;
    place_steps();
    I = w_ih.size(tokens ? 0 : 1);
    check(w_hh, "w_hh", type, width * steps.H);
    check(w_ih, "w_ih", type, width * I);
    check(x, "x", tokens ? ScalarType::Long : type, tokens ? N : N * I);
    check(h0, "h0", type, B * steps.H);
    check(c0, "c0", type, B * steps.H);
    if (tokens) check_ids();
  }

  bool is(bptt::Cell cell) const { return steps.cell == cell; }

  template <class T>
  bptt::Input<T> input() const {
    return {tokens ? nullptr : data<T>(Maybe(x)), tokens ? data<int64_t>(Maybe(x)) : nullptr, I,
            data<T>(Maybe(w_ih))};
  }

  Tensor x, w_ih, w_hh;
  Maybe h0, c0, offset;
  bool tokens;
  ScalarType type;
  bptt::Steps steps;
  int64_t width, N, I;

 private:
  void place_steps() {
    const int64_t T = steps.T, B = steps.B;
    if (offset) {
      check(*offset, "offset", ScalarType::Long, T + 1);
      steps.offset = data<int64_t>(offset);
      STD_TORCH_CHECK(steps.offset[0] == 0 && steps.offset[1] == B, "offset must start 0, B");
      for (int64_t t = 1; t < T; ++t) {
        const int64_t rows = steps.offset[t + 1] - steps.offset[t];
        STD_TORCH_CHECK(rows > 0 && rows <= steps.offset[t] - steps.offset[t - 1],
                        "every step needs a row, and rows must not rise with the steps");
      }
    } else {
      own.resize(T + 1);
      for (int64_t t = 0; t <= T; ++t) own[t] = t * B;
      steps.offset = own.data();
    }
    N = steps.offset[T];
  }

  void check_ids() const {
    const int64_t* ids = data<int64_t>(Maybe(x));
    for (int64_t i = 0; i < N; ++i)
      STD_TORCH_CHECK(ids[i] >= 0 && ids[i] < I, "symbol ", ids[i], " is not in 0 .. ", I - 1);
  }

  std::vector<int64_t> own;
};

template <class T>
Tensor copy_or_zeros(const Tensor& like, const Maybe& from, int64_t rows, int64_t columns) {
  Tensor to = make(like, {rows, columns});
  const std::size_t bytes = rows * columns * sizeof(T);
  if (from) std::memcpy(data<T>(to), data<T>(from), bytes);
  else std::memset(data<T>(to), 0, bytes);
  return to;
}

using Recurred = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

template <class T>
Recurred run(const Layer& l, const Maybe& b_ih, const Maybe& b_hh, bool save) {
  const bptt::Steps& s = l.steps;
  const bool lstm = l.is(bptt::Cell::lstm), gru = l.is(bptt::Cell::gru);
  Tensor gates = make(l.w_hh, {l.N, l.width}, save), y = make(l.w_hh, {l.N, s.H});
  Tensor h = make(l.w_hh, {s.B, s.H});
  Tensor c = lstm ? copy_or_zeros<T>(l.w_hh, l.c0, s.B, s.H) : make(l.w_hh, {0});
  Tensor c_all = make(l.w_hh, {l.N, s.H}, lstm && save), hn = make(l.w_hh, {l.N, s.H}, gru && save);
  if (save) {
    const T* b_hn = gru && b_hh ? data<T>(b_hh) + 2 * s.H : nullptr;
    bptt::preactivate(s, l.input<T>(), data<T>(b_ih), data<T>(b_hh), data<T>(gates), multiply<T>,
                      pool());
    bptt::forward<T>({s, data<T>(gates), data<T>(Maybe(l.w_hh)), b_hn, data<T>(l.h0), data<T>(c),
                      data<T>(y), data<T>(c_all), data<T>(hn), true},
                     pool());
    if (!lstm && !gru) gates = make(l.w_hh, {0});
  } else {
    bptt::infer<T>({s, l.input<T>(), data<T>(b_ih), data<T>(b_hh), data<T>(Maybe(l.w_hh)),
                    data<T>(l.h0), data<T>(c), data<T>(y)},
                   multiply<T>, pool());
  }
  bptt::last_states(s, data<T>(y), data<T>(h));
  return {y, h, c, gates, c_all, hn};
}

Recurred layer(int64_t cell, Tensor x, Tensor w_ih, Tensor w_hh, Maybe b_ih, Maybe b_hh, Maybe h0,
               Maybe c0, int64_t T, int64_t B, Maybe offset, bool reverse, bool tokens, bool save,
               bool bf16) {
  const Layer l(cell, x, w_ih, w_hh, h0, c0, T, B, offset, reverse, tokens, bf16);
  check(b_ih, "b_ih", l.type, l.width);
  check(b_hh, "b_hh", l.type, l.width);
  return l.type == ScalarType::Float ? run<float>(l, b_ih, b_hh, save)
                                     : run<double>(l, b_ih, b_hh, save);
}

// What forward kept, the gradients that arrive, and what is asked for.
struct Back {
  Tensor y, gates, c_all, hn;
  Maybe dy, dh, dc;
  bptt::Clip clip;
  double limit;
  bool norms, full;
  int64_t wanted;  // bits: x, w_ih, w_hh, b_ih, b_hh

  bool wants(int bit) const { return wanted >> bit & 1; }
};

using Returned = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor,
                            Tensor, Tensor>;

template <class T>
Returned run_back(const Layer& l, const Back& b) {
  const bptt::Steps& s = l.steps;
  const bool lstm = l.is(bptt::Cell::lstm), gru = l.is(bptt::Cell::gru);
  Tensor d = make(b.y, {l.N, l.width}), dhn = make(b.y, {l.N, s.H}, gru);
  Tensor dh0 = copy_or_zeros<T>(b.y, b.dh, s.B, s.H);
  Tensor dc0 = lstm ? copy_or_zeros<T>(b.y, b.dc, s.B, s.H) : make(b.y, {0});
  Tensor norms = make(b.y, {3, l.N}, b.norms), dh_all = make(b.y, {l.N, s.H}, b.full);
  Tensor e_all = make(b.y, {l.N, s.H}, b.full && lstm);
  Tensor clipped = torch::stable::new_empty(b.y, std::vector<int64_t>{1}, ScalarType::Long);
  bptt::backward<T>({s, data<T>(Maybe(l.w_hh)), data<T>(Maybe(b.y)), data<T>(l.h0), data<T>(l.c0),
                     data<T>(b.gates), data<T>(b.c_all), data<T>(b.hn), data<T>(b.dy), data<T>(dh0),
                     data<T>(dc0), data<T>(d), data<T>(dhn), b.clip, static_cast<T>(b.limit),
                     data<int64_t>(clipped), data<T>(norms), data<T>(dh_all), data<T>(e_all)},
                    pool());
  Tensor d_x = make(b.y, {l.N, l.I}, b.wants(0));
  Tensor d_w_ih = make(b.y, {l.w_ih.size(0), l.w_ih.size(1)}, b.wants(1));
  Tensor d_w_hh = make(b.y, {l.width, s.H}, b.wants(2));
  Tensor d_b_ih = make(b.y, {l.width}, b.wants(3)), d_b_hh = make(b.y, {l.width}, b.wants(4));
  bptt::sum_over_steps<T>(s, l.input<T>(),
                          {data<T>(d), data<T>(dhn), data<T>(Maybe(b.y)), data<T>(l.h0),
                           data<T>(d_x), data<T>(d_w_ih), data<T>(d_w_hh), data<T>(d_b_ih),
                           data<T>(d_b_hh)},
                          multiply<T>, pool());
  return {d_x, d_w_ih, d_w_hh, d_b_ih, d_b_hh, dh0, dc0, norms, dh_all, e_all, clipped};
}

Returned layer_backward(int64_t cell, Tensor x, Tensor w_ih, Tensor w_hh, Maybe h0, Maybe c0,
                        Tensor y, Tensor gates, Tensor c_all, Tensor hn, Maybe dy, Maybe dh,
                        Maybe dc, int64_t T, int64_t B, Maybe offset, bool reverse, bool tokens,
                        int64_t clip, double limit, bool norms, bool full, bool bf16,
                        int64_t wanted) {
  const Layer l(cell, x, w_ih, w_hh, h0, c0, T, B, offset, reverse, tokens, bf16);
  const int64_t rows = l.N * l.steps.H, state = B * l.steps.H;
  check(y, "y", l.type, rows);
  check(gates, "gates", l.type, cell >= 2 ? l.N * l.width : 0);
  check(c_all, "c_all", l.type, cell == 3 ? rows : 0);
  check(hn, "hn", l.type, cell == 2 ? rows : 0);
  check(dy, "dy", l.type, rows);
  check(dh, "dh", l.type, state);
  check(dc, "dc", l.type, state);
  STD_TORCH_CHECK(clip >= 0 && clip <= 2, "clip must be 0, 1 or 2, got ", clip);
  STD_TORCH_CHECK(!(tokens && (wanted & 1)), "ids have no gradient");
  const Back b{y, gates, c_all, hn, dy, dh, dc, static_cast<bptt::Clip>(clip), limit, norms, full,
               wanted};
  return l.type == ScalarType::Float ? run_back<float>(l, b) : run_back<double>(l, b);
}

template <class T>
Tensor multiplied(const Tensor& a, const Tensor& b) {
  Tensor c = make(a, {a.size(0), b.size(1)});
  bptt::product<T>({a.size(0), b.size(1), a.size(1), data<T>(Maybe(a)), a.stride(0), a.stride(1),
                    data<T>(Maybe(b)), b.stride(0), b.stride(1), nullptr, data<T>(c), b.size(1),
                    nullptr, false},
                   pool());
  return c;
}

// The library's own a b, for tests and as the yardstick of its speed.
Tensor product(Tensor a, Tensor b) {
  const ScalarType type = a.scalar_type();
  STD_TORCH_CHECK(type == ScalarType::Float || type == ScalarType::Double,
                  "expected float32 or float64");
  for (const Tensor* t : {&a, &b})
    STD_TORCH_CHECK(t->is_cpu() && t->scalar_type() == type && t->dim() == 2 &&
                        (t->stride(0) == 1 || t->stride(1) == 1),
                    "expected two CPU matrices of one dtype, each with a stride of 1");
  STD_TORCH_CHECK(a.size(1) == b.size(0) && a.numel() > 0 && b.numel() > 0,
                  "inner sizes differ, or a matrix is empty");
  return type == ScalarType::Float ? multiplied<float>(a, b) : multiplied<double>(a, b);
}

template <class T>
Tensor activated(const Tensor& x, bool sigmoid) {
  Tensor y = make(x, {x.numel()});
  (sigmoid ? bptt::sigmoid<T> : bptt::tanh<T>)(data<T>(Maybe(x)), data<T>(y), x.numel());
  return y;
}

// The kernels' own tanh or sigmoid, for tests of their accuracy.
Tensor activation(Tensor x, bool sigmoid) {
  const ScalarType type = x.scalar_type() == ScalarType::Float ? ScalarType::Float : ScalarType::Double;
  check(x, "x", type, x.numel());
  return type == ScalarType::Float ? activated<float>(x, sigmoid) : activated<double>(x, sigmoid);
}

// Index of the instruction set in use: 0 baseline, 1 avx2, 2 avx512, 3 avx512bf16.
int64_t isa() {
  const char* name = bptt::isa();
  int64_t index = 0;
  for (const char* known : {"baseline", "avx2", "avx512"}) {
    if (std::strcmp(name, known) == 0) break;
    ++index;
  }
  return index;
}

}  // namespace

STABLE_TORCH_LIBRARY(bptt, m) {
  m.def(
      "layer(int cell, Tensor x, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, Tensor? h0, "
      "Tensor? c0, int T, int B, Tensor? offset, bool reverse, bool tokens, bool save, bool bf16) "
      "-> (Tensor y, Tensor h, Tensor c, Tensor gates, Tensor c_all, Tensor hn)");
  m.def(
      "layer_backward(int cell, Tensor x, Tensor w_ih, Tensor w_hh, Tensor? h0, Tensor? c0, "
      "Tensor y, Tensor gates, Tensor c_all, Tensor hn, Tensor? dy, Tensor? dh, Tensor? dc, int T, "
      "int B, Tensor? offset, bool reverse, bool tokens, int clip, float limit, bool norms, "
      "bool full, bool bf16, int wanted) -> (Tensor d_x, Tensor d_w_ih, Tensor d_w_hh, "
      "Tensor d_b_ih, Tensor d_b_hh, Tensor dh0, Tensor dc0, Tensor norms, Tensor dh_all, "
      "Tensor e_all, Tensor clipped)");
  m.def("product(Tensor a, Tensor b) -> Tensor");
  m.def("activation(Tensor x, bool sigmoid) -> Tensor");
  m.def("isa() -> int");
  m.def("fast_torch_products() -> bool");
}

STABLE_TORCH_LIBRARY_IMPL(bptt, CPU, m) {
  m.impl("layer", TORCH_BOX(&layer));
  m.impl("layer_backward", TORCH_BOX(&layer_backward));
  m.impl("product", TORCH_BOX(&product));
  m.impl("activation", TORCH_BOX(&activation));
}

STABLE_TORCH_LIBRARY_IMPL(bptt, CompositeExplicitAutograd, m) {
  m.impl("isa", TORCH_BOX(&isa));
  m.impl("fast_torch_products", TORCH_BOX(&fast_torch_products));
}
