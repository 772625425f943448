#include "layer.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "denormals.h"

namespace bptt {
namespace {

// Elements below which sharing a pass over memory out among threads does not pay.
constexpr int64_t kWorthSharing = 1 << 15;

// Runs body(begin, end) over 0 .. count, in as many runs as pay.
template <class Body>
void share(int64_t count, int64_t elements, const Pool& pool, const Body& body) {
  const int parts = static_cast<int>(
      std::max<int64_t>(1, std::min<int64_t>({pool.threads, count, elements / kWorthSharing})));
  if (parts == 1) return body(0, count);
  struct Context {
    const Body& body;
    int64_t count;
    int parts;
  } context{body, count, parts};
  pool.run(
      parts,
      [](void* c, int i) {
        const FlushDenormals flush;
        const Context& at = *static_cast<Context*>(c);
        at.body(at.count * i / at.parts, at.count * (i + 1) / at.parts);
      },
      &context);
}

// out[column] = the sum of column over the rows of d [N, width].
template <class T>
void sum_columns(const T* d, int64_t N, int64_t width, T* out, const Pool& pool) {
  share(width, N * width, pool, [&](int64_t begin, int64_t end) {
    std::fill(out + begin, out + end, T(0));
    for (int64_t i = 0; i < N; ++i)
      for (int64_t j = begin; j < end; ++j) out[j] += d[i * width + j];
  });
}

// out[N, H] = h_{t-1} of each row.
template <class T>
void states_before(const Steps& s, const T* y, const T* h0, T* out, const Pool& pool) {
  share(s.T, s.offset[s.T] * s.H, pool, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const int64_t before = s.reverse ? t + 1 : t - 1;
      const bool first = before < 0 || before >= s.T;
      const int64_t rows = s.offset[t + 1] - s.offset[t];
      const int64_t known =
          first ? 0 : std::min(rows, s.offset[before + 1] - s.offset[before]);
      T* to = out + s.offset[t] * s.H;
      const std::size_t from_y = known * s.H * sizeof(T), rest = (rows - known) * s.H * sizeof(T);
      if (known > 0) std::memcpy(to, y + s.offset[before] * s.H, from_y);
      if (rest == 0) continue;
      if (h0) std::memcpy(to + known * s.H, h0 + known * s.H, rest);
      else std::memset(to + known * s.H, 0, rest);
    }
  });
}

// out[i] = table[ids[i]] + bias, rows of `width`.
template <class T>
void look_up(const int64_t* ids, int64_t N, const T* table, int64_t width, const T* bias, T* out,
             const Pool& pool) {
  share(N, N * width, pool, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < width; ++j)
        out[i * width + j] = table[ids[i] * width + j] + (bias ? bias[j] : T(0));
  });
}

// table[ids[i]] += d[i]. Threads share the columns out, so sums run in the order of the rows.
template <class T>
void scatter(const int64_t* ids, int64_t N, const T* d, int64_t width, int64_t symbols, T* table,
             const Pool& pool) {
  share(width, N * width, pool, [&](int64_t begin, int64_t end) {
    for (int64_t v = 0; v < symbols; ++v)
      std::fill(table + v * width + begin, table + v * width + end, T(0));
    for (int64_t i = 0; i < N; ++i) {
      T* to = table + ids[i] * width;
      for (int64_t j = begin; j < end; ++j) to[j] += d[i * width + j];
    }
  });
}

// to [columns, K] = d[N, width] restricted to `columns` columns, transposed, times right [N, K].
template <class T>
Product<T> transposed(const T* d, int64_t N, int64_t width, int64_t columns, const T* right,
                      int64_t K, T* to, T* sums, bool bf16) {
  return {columns, K, N, d, 1, width, right, K, 1, nullptr, to, K, sums, bf16};
}

// The sum over steps of d_t^T h_{t-1}, where d has `width` columns of which `columns` count.
template <class T>
void sum_recurrent(const Steps& steps, const Sums<T>& s, const T* d, int64_t width, int64_t columns,
                   T* to, Multiply<T> multiply, const Pool& pool) {
  const int64_t N = steps.offset[steps.T], H = steps.H, B = steps.B;
  if (N != steps.T * B || N == B) {
    const std::unique_ptr<T[]> before(new T[N * H]);
    states_before(steps, s.y, s.h0, before.get(), pool);
    return multiply(transposed<T>(d, N, width, columns, before.get(), H, to, nullptr, steps.bf16), pool);
  }
  // With equal lengths h_{t-1} of all rows but the first step's is y itself, B rows away.
  const int64_t later = B * width, first = steps.reverse ? (N - B) * width : 0;
  const T *left = steps.reverse ? d : d + later, *right = steps.reverse ? s.y + B * H : s.y;
  multiply(transposed<T>(left, N - B, width, columns, right, H, to, nullptr, steps.bf16), pool);
  if (!s.h0) return;
  const std::unique_ptr<T[]> start(new T[columns * H]);
  multiply(transposed<T>(d + first, B, width, columns, s.h0, H, start.get(), nullptr, steps.bf16),
           pool);
  for (int64_t i = 0; i < columns * H; ++i) to[i] += start[i];
}

}  // namespace

template <class T>
void preactivate(const Steps& steps, const Input<T>& in, const T* b_ih, const T* b_hh, T* out,
                 Multiply<T> multiply, const Pool& pool) {
  const int64_t N = steps.offset[steps.T], width = gates(steps.cell) * steps.H;
  std::vector<T> bias;
  if (b_ih || b_hh) {
    bias.assign(width, T(0));
    const int64_t shared = steps.cell == Cell::gru ? 2 * steps.H : width;
    for (int64_t j = 0; j < width; ++j)
      bias[j] = (b_ih ? b_ih[j] : T(0)) + (b_hh && j < shared ? b_hh[j] : T(0));
  }
  const T* added = bias.empty() ? nullptr : bias.data();
  if (in.x)
    multiply({N, width, in.I, in.x, in.I, 1, in.w_ih, 1, in.I, added, out, width, nullptr,
              steps.bf16},
             pool);
  else
    look_up(in.ids, N, in.w_ih, width, added, out, pool);
}

template <class T>
void sum_over_steps(const Steps& steps, const Input<T>& in, const Sums<T>& s, Multiply<T> multiply,
                    const Pool& pool) {
  const int64_t N = steps.offset[steps.T], H = steps.H, width = gates(steps.cell) * H;
  const bool biases = s.d_b_ih || s.d_b_hh, gru = steps.cell == Cell::gru;
  std::vector<T> totals(biases ? width : 0);
  T* sums = biases ? totals.data() : nullptr;
  if (s.d_w_ih && in.x) {
    multiply(transposed(s.d, N, width, width, in.x, in.I, s.d_w_ih, sums, steps.bf16), pool);
  } else {
    if (s.d_w_ih) scatter(in.ids, N, s.d, width, in.I, s.d_w_ih, pool);
    if (biases) sum_columns(s.d, N, width, sums, pool);
  }
  if (s.d_x)
    multiply({N, in.I, width, s.d, width, 1, in.w_ih, in.I, 1, nullptr, s.d_x, in.I, nullptr,
              steps.bf16},
             pool);
  if (s.d_w_hh) {
    const int64_t shared = gru ? 2 * H : width;
    sum_recurrent(steps, s, s.d, width, shared, s.d_w_hh, multiply, pool);
    if (gru) sum_recurrent(steps, s, s.dhn, H, H, s.d_w_hh + shared * H, multiply, pool);
  }
  if (s.d_b_ih) std::copy(totals.begin(), totals.end(), s.d_b_ih);
  if (s.d_b_hh) {
    std::copy(totals.begin(), totals.end(), s.d_b_hh);
    if (gru) sum_columns(s.dhn, N, H, s.d_b_hh + 2 * H, pool);
  }
}

template <class T>
void last_states(const Steps& s, const T* y, T* h) {
  for (int64_t t = 0; t < s.T; ++t) {
    const int64_t rows = s.offset[t + 1] - s.offset[t];
    const int64_t next = t + 1 < s.T ? s.offset[t + 2] - s.offset[t + 1] : 0;
    const int64_t from = s.reverse ? 0 : next;
    std::memcpy(h + from * s.H, y + (s.offset[t] + from) * s.H, (rows - from) * s.H * sizeof(T));
    if (s.reverse) return;
  }
}

#define BPTT_INSTANTIATE(T)                                                                       \
  template void preactivate(const Steps&, const Input<T>&, const T*, const T*, T*, Multiply<T>,   \
                            const Pool&);                                                         \
  template void sum_over_steps(const Steps&, const Input<T>&, const Sums<T>&, Multiply<T>,        \
                               const Pool&);                                                      \
  template void last_states(const Steps&, const T*, T*);
BPTT_INSTANTIATE(float)
BPTT_INSTANTIATE(double)
#undef BPTT_INSTANTIATE

}  // namespace bptt
