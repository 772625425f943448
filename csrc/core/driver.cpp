// Chooses the kernels, lays out scratch, shares the work out and runs it.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "bptt.h"
#include "denormals.h"
#include "kernels.h"
#include "plan.h"
#include "scratch.h"

namespace bptt {
namespace {

struct Choice {
  const char* name;
  const Kernels<float>& (*floats)();
  const Kernels<double>& (*doubles)();
};

bool has(const std::string& name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (name == "avx2") return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (name == "avx512bf16") return has("avx512") && __builtin_cpu_supports("avx512bf16");
  if (name == "avx512")
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
  return name == "baseline";
}

Choice choose() {
  static constexpr Choice kChoices[] = {
#if defined(__x86_64__)
      {"avx512bf16", avx512bf16::floats, avx512bf16::doubles},
      {"avx512", avx512::floats, avx512::doubles},
      {"avx2", avx2::floats, avx2::doubles},
#endif
      {"baseline", baseline::floats, baseline::doubles}};
  const char* wish = std::getenv("BPTT_ISA");
  for (const Choice& choice : kChoices)
    if (has(choice.name) && (!wish || !*wish || std::strcmp(wish, choice.name) == 0)) return choice;
  throw std::runtime_error("BPTT_ISA=" + std::string(wish ? wish : "") +
                           " is not to be had here: expected baseline, avx2, avx512 or "
                           "avx512bf16, and a "
                           "processor that has it. Unset it to let the library choose.");
}

const Choice& chosen() {
  static const Choice choice = choose();
  return choice;
}

template <class T> const Kernels<T>& kernels();
template <> const Kernels<float>& kernels<float>() { return chosen().floats(); }
template <> const Kernels<double>& kernels<double>() { return chosen().doubles(); }

// Packs W_hh on all threads the plan has.
template <class T>
void pack(void (*kernel)(const Steps&, const T*, int64_t, int64_t, T*), const Steps& steps,
          const T* w, const Panels& panels, const Plan& plan, const Pool& pool, T* to) {
  run_on(pool, plan.parts, [&](int i) {
    kernel(steps, w, cut(panels.count, plan.parts, i),
           cut(panels.count, plan.parts, i + 1), to);
  });
}

// to[B, ld] = from[B, H], or zeros.
template <class T>
void spread(const T* from, int64_t B, int64_t H, T* to, int64_t ld) {
  for (int64_t r = 0; r < B; ++r) {
    if (from) std::memcpy(to + r * ld, from + r * H, H * sizeof(T));
    else std::memset(to + r * ld, 0, H * sizeof(T));
  }
}

// to[B, 2 ld] = from[B, H] [ld] rounded to bfloat16, ties to even; zero beyond H.
template <class T>
uint16_t* round_rows(const T* from, int64_t B, int64_t H, int64_t ld, uint16_t* to) {
  std::memset(to, 0, B * 2 * ld * sizeof(uint16_t));
  for (int64_t r = 0; r < B; ++r)
    for (int64_t j = 0; j < H; ++j) {
      const float x = static_cast<float>(from[r * ld + j]);
      uint32_t bits;
      std::memcpy(&bits, &x, sizeof bits);
      const uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
      to[r * 2 * ld + j] = static_cast<uint16_t>((x == x ? rounded : bits | 0x400000) >> 16);
    }
  return to;
}

}  // namespace

const char* isa() { return chosen().name; }

template <class T>
int64_t packed_size(const Steps& steps) {
  const Panels panels = kernels<T>().forward_panels(steps.cell, steps.H);
  return panels.count * panels.size;
}

template <class T>
void pack(const Steps& steps, const T* w, const Pool& pool, T* to) {
  const Panels panels = kernels<T>().forward_panels(steps.cell, steps.H);
  pack(kernels<T>().pack_forward, steps, w, panels, plan(steps, panels, pool), pool, to);
}

template <class T>
void forward(const Forward<T>& f, const Pool& pool) {
  const Steps& steps = f.steps;
  const Kernels<T>& k = kernels<T>();
  const Panels panels = k.forward_panels(steps.cell, steps.H);
  const Plan shares = plan(steps, panels, pool);
  const int64_t ld = padded<T>(steps.H), packed = f.packed ? 0 : panels.count * panels.size;
  const int64_t halves = steps.bf16 ? steps.B * 2 * ld : 0;
  Arena<> arena(Arena<>::bytes<T>(packed) + 2 * Arena<>::bytes<T>(steps.B * ld) +
              2 * Arena<>::bytes<uint16_t>(halves));
  T* w = arena.take<T>(packed);
  ForwardScratch<T> s{f.packed ? f.packed : w, {arena.take<T>(steps.B * ld), arena.take<T>(steps.B * ld)}, ld, {}};
  if (!f.packed) pack(k.pack_forward, steps, f.w, panels, shares, pool, w);
  for (T* h : s.h) spread(f.h0, steps.B, steps.H, h, ld);
  for (uint16_t*& half : s.half)
    if (steps.bf16) half = round_rows(s.h[0], steps.B, steps.H, ld, arena.take<uint16_t>(halves));
  run_parts(steps, panels, shares, pool, [&](const Part& part, int) { k.forward(f, s, part); });
}

template <class T>
void backward(const Backward<T>& b, const Pool& pool) {
  const Steps& steps = b.steps;
  const int64_t B = steps.B, H = steps.H;
  const Kernels<T>& k = kernels<T>();
  const Panels panels = k.backward_panels(steps.cell, H);
  const Plan shares = plan(steps, panels, pool);
  const int64_t d_ld = padded<T>(gates(steps.cell) * H);
  const int64_t dh_ld = padded<T>(panels.count * panels.units);
  const int64_t packed = panels.count * panels.size, sums = shares.parts * kSums * B;
  Arena<> arena(Arena<>::bytes<T>(packed) + 2 * Arena<>::bytes<T>(B * d_ld) +
              Arena<>::bytes<T>(B * dh_ld) + 2 * Arena<>::bytes<double>(sums) +
              Arena<>::bytes<int64_t>(shares.parts));
  T* w = arena.take<T>(packed);
  BackwardScratch<T> s{w, {arena.take<T>(B * d_ld), arena.take<T>(B * d_ld)}, d_ld,
                       arena.take<T>(B * dh_ld), dh_ld,
                       {arena.take<double>(sums), arena.take<double>(sums)},
                       arena.take<int64_t>(shares.parts)};
  std::memset(s.sums[0], 0, sums * sizeof(double));
  std::memset(s.sums[1], 0, sums * sizeof(double));
  for (T* d : s.d) std::memset(d, 0, B * d_ld * sizeof(T));  // an odd last pair has a zero in it
  std::memset(s.clipped, 0, shares.parts * sizeof(int64_t));
  pack(k.pack_backward, steps, b.w, panels, shares, pool, w);
  spread<T>(b.dh, B, H, s.dh, dh_ld);
  run_parts(steps, panels, shares, pool, [&](const Part& part, int i) {
    BackwardScratch<T> own = s;
    if (!part.barrier) own.clipped = s.clipped + i;
    k.backward(b, own, part);
  });
  for (int64_t r = 0; r < B; ++r) std::memcpy(b.dh + r * H, s.dh + r * dh_ld, H * sizeof(T));
  *b.clipped = 0;
  for (int i = 0; i < shares.parts; ++i) *b.clipped += s.clipped[i];
}

template <class T>
void product(const Product<T>& p, const Pool& pool) {
  const Kernels<T>& k = kernels<T>();
  const bool by_rows = p.M >= p.N;
  const int64_t grain = by_rows ? k.product_rows : k.product_columns;
  const int64_t count = by_rows ? p.M : p.N;
  const bool small = double(p.M) * p.N * p.K < kWorthThreads;
  const int parts =
      small ? 1 : static_cast<int>(std::min<int64_t>(pool.threads, (count + grain - 1) / grain));
  Arena<> arena(parts * Arena<>::bytes<T>(k.product_scratch));
  T* scratch = arena.take<T>(0);
  run_on(pool, parts, [&](int i) {
    const FlushDenormals flush;
    const int64_t from = cut(count, parts, i, grain), to = cut(count, parts, i + 1, grain);
    T* own = scratch + i * (Arena<>::bytes<T>(k.product_scratch) / sizeof(T));
    by_rows ? k.product(p, from, to, 0, p.N, own) : k.product(p, 0, p.M, from, to, own);
  });
}

template <class T>
void tanh(const T* x, T* y, int64_t n) {
  const FlushDenormals flush;
  kernels<T>().tanh(x, y, n);
}

template <class T>
void sigmoid(const T* x, T* y, int64_t n) {
  const FlushDenormals flush;
  kernels<T>().sigmoid(x, y, n);
}

#define BPTT_INSTANTIATE(T)                              \
  template int64_t packed_size<T>(const Steps&);           \
  template void pack(const Steps&, const T*, const Pool&, T*); \
  template void forward(const Forward<T>&, const Pool&);   \
  template void backward(const Backward<T>&, const Pool&); \
  template void product(const Product<T>&, const Pool&);   \
  template void tanh(const T*, T*, int64_t);               \
  template void sigmoid(const T*, T*, int64_t);
BPTT_INSTANTIATE(float)
BPTT_INSTANTIATE(double)
#undef BPTT_INSTANTIATE

}  // namespace bptt
