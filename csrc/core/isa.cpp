// Every kernel for one instruction set. The build compiles this file once for each, with BPTT_ISA,
// BPTT_VECTOR_BYTES and the compiler's flags for that set.
#include "backward.h"
#include "forward.h"
#include "product.h"

namespace bptt::BPTT_ISA {
namespace {

// Calls run with the cell's type.
template <class T, class Run>
auto for_cell(Cell cell, const Run& run) {
  switch (cell) {
    case Cell::rnn_tanh: return run.template operator()<RnnTanh>();
    case Cell::rnn_relu: return run.template operator()<RnnRelu>();
    case Cell::gru: return run.template operator()<Gru>();
    default: return run.template operator()<Lstm>();
  }
}

template <class T>
struct ForwardPanels {
  int64_t H;
  template <template <class> class C>
  Panels operator()() const { return ForwardPass<T, C>::panels(H); }
};

template <class T>
struct BackwardPanels {
  int64_t H;
  template <template <class> class C>
  Panels operator()() const { return BackwardPass<T, C>::panels(H); }
};

template <class T, template <class, template <class> class> class Pass>
struct Pack {
  const Steps& steps;
  const T* w;
  int64_t p0, p1;
  T* to;
  template <template <class> class C>
  void operator()() const { Pass<T, C>::pack(steps, w, p0, p1, to); }
};

template <class Arguments, class Scratch>
struct Run {
  const Arguments& arguments;
  const Scratch& scratch;
  const Part& part;
};

template <class T>
struct RunForward : Run<Forward<T>, ForwardScratch<T>> {
  template <template <class> class C>
  void operator()() const { ForwardPass<T, C>{this->arguments, this->scratch}.run(this->part); }
};

template <class T>
struct RunBackward : Run<Backward<T>, BackwardScratch<T>> {
  template <template <class> class C>
  void operator()() const { BackwardPass<T, C>{this->arguments, this->scratch}.run(this->part); }
};

template <class T, Vec<T> (*function)(Vec<T>)>
void map(const T* x, T* y, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes<T>) store(y + i, function(load(x + i, n - i)), n - i);
}

template <class T>
const Kernels<T>& table() {
  using Q = Multiplication<T>;
  static constexpr Kernels<T> kernels{
      [](Cell cell, int64_t H) { return for_cell<T>(cell, ForwardPanels<T>{H}); },
      [](Cell cell, int64_t H) { return for_cell<T>(cell, BackwardPanels<T>{H}); },
      [](const Steps& steps, const T* w, int64_t p0, int64_t p1, T* to) {
        for_cell<T>(steps.cell, Pack<T, ForwardPass>{steps, w, p0, p1, to});
      },
      [](const Steps& steps, const T* w, int64_t p0, int64_t p1, T* to) {
        for_cell<T>(steps.cell, Pack<T, BackwardPass>{steps, w, p0, p1, to});
      },
      [](const Forward<T>& f, const ForwardScratch<T>& s, const Part& part) {
        for_cell<T>(f.steps.cell, RunForward<T>{{f, s, part}});
      },
      [](const Backward<T>& b, const BackwardScratch<T>& s, const Part& part) {
        for_cell<T>(b.steps.cell, RunBackward<T>{{b, s, part}});
      },
      [](const Product<T>& q, int64_t m0, int64_t m1, int64_t n0, int64_t n1, T* scratch) {
        Multiplication<T>{q, scratch, scratch + Q::kDepth * Q::kColumns}.run(m0, m1, n0, n1);
      },
      Q::kScratch, Q::M, Q::W,
      map<T, tanh<T>>, map<T, sigmoid<T>>};
  return kernels;
}

}  // namespace

const Kernels<float>& floats() { return table<float>(); }
const Kernels<double>& doubles() { return table<double>(); }

}  // namespace bptt::BPTT_ISA
