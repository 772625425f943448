#include "infer.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "scratch.h"

namespace bptt {
namespace {

// Elements of pre-activations at a time, and rows at least: W_ih is brought into panels each time.
constexpr int64_t kElements = 1 << 19, kRows = 512;

// Steps from .. to - 1, in the order of time.
struct Stretch {
  int64_t from, to;
};

std::vector<Stretch> stretches(const Steps& steps, int64_t rows) {
  std::vector<Stretch> found;
  for (int64_t t = 0; t < steps.T;) {
    const int64_t from = t, first = steps.offset[t];
    while (t < steps.T && (t == from || steps.offset[t + 1] - first <= rows)) ++t;
    found.push_back({from, t});
  }
  if (steps.reverse) std::reverse(found.begin(), found.end());
  return found;
}

// start[rows, H] = the states that a stretch begins with: those of the step before, in the order in
// which steps run, and h0 for samples that begin here.
template <class T>
void begin(const Inference<T>& run, int64_t before, int64_t rows, T* start) {
  const Steps& s = run.steps;
  const int64_t known = std::min(rows, s.offset[before + 1] - s.offset[before]);
  std::memcpy(start, run.y + s.offset[before] * s.H, known * s.H * sizeof(T));
  if (known == rows) return;
  const std::size_t rest = (rows - known) * s.H * sizeof(T);
  if (run.h0) std::memcpy(start + known * s.H, run.h0 + known * s.H, rest);
  else std::memset(start + known * s.H, 0, rest);
}

}  // namespace

template <class T>
void infer(const Inference<T>& run, Multiply<T> multiply, const Pool& pool, int64_t rows) {
  const Steps& all = run.steps;
  const int64_t H = all.H, width = gates(all.cell) * H;
  const std::vector<Stretch> parts =
      stretches(all, rows > 0 ? rows : std::max(kRows, kElements / width));
  int64_t longest = 0;
  for (const Stretch& part : parts)
    longest = std::max(longest, all.offset[part.to] - all.offset[part.from]);
  const int64_t packed = packed_size<T>(all);
  using Own = Arena<Scratch::call>;
  Own arena(Own::bytes<T>(longest * width) + Own::bytes<T>(all.B * H) + Own::bytes<T>(packed));
  T *gates = arena.template take<T>(longest * width), *start = arena.template take<T>(all.B * H);
  T* w = arena.template take<T>(packed);
  pack(all, run.w, pool, w);
  const T* b_hn = all.cell == Cell::gru && run.b_hh ? run.b_hh + 2 * H : nullptr;
  for (const Stretch& part : parts) {
    const int64_t row = all.offset[part.from];
    std::vector<int64_t> offset(all.offset + part.from, all.offset + part.to + 1);
    for (int64_t& at : offset) at -= row;
    Steps steps = all;
    steps.T = part.to - part.from;
    steps.B = offset[1];
    steps.offset = offset.data();
    const bool first = &part == parts.data();
    if (!first) begin(run, all.reverse ? part.to : part.from - 1, steps.B, start);
    Input<T> in = run.in;
    if (in.x) in.x += row * in.I;
    else in.ids += row;
    preactivate(steps, in, run.b_ih, run.b_hh, gates, multiply, pool);
    forward<T>({steps, gates, run.w, b_hn, first ? run.h0 : start, run.c,
                run.y + row * H, nullptr, nullptr, false, w},
               pool);
  }
}

template void infer(const Inference<float>&, Multiply<float>, const Pool&, int64_t);
template void infer(const Inference<double>&, Multiply<double>, const Pool&, int64_t);

}  // namespace bptt
