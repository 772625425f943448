// What the core made, against its formulas written out one number at a time, in double.
//
// Every check is local: step t is computed from what the core itself left at the step before. So the
// tolerance is that of one step's rounding, and no error hides behind one that grew over the steps.
#pragma once

#include "case.h"
#include "near.h"

namespace fuzz {

// Everything that a forward and backward pass leave; names as in bptt.h.
template <class T>
struct Outcome {
  std::vector<T> x, gates, y, h, c, c_all, hn, dh, dc, dx, dhn, norms, dh_all, e_all;
  std::vector<T> d_x, d_w_ih, d_w_hh, d_b_ih, d_b_hh;
  int64_t clipped = -1;
};

template <class T>
struct Check {
  const Case<T>& k;
  const Outcome<T>& o;
  const int64_t H = k.H;

  // Rows of sample b in the order in which the forward pass ran.
  std::vector<int64_t> rows(int64_t b) const {
    std::vector<int64_t> found;
    for (int64_t t = 0; t < k.lengths[b]; ++t) found.push_back(k.offset[t] + b);
    if (k.reverse) std::reverse(found.begin(), found.end());
    return found;
  }

  // Where the state before the i-th of a sample's rows lies; null for zeros.
  const T* before(const std::vector<int64_t>& rows, std::size_t i, int64_t b, const std::vector<T>& all,
                  const std::vector<T>& first) const {
    if (i > 0) return all.empty() ? nullptr : all.data() + rows[i - 1] * H;
    return first.empty() ? nullptr : first.data() + b * H;
  }

  void run() const {
    preactivations();
    int64_t surely = 0, perhaps = 0;
    for (int64_t b = 0; b < k.B; ++b) {
      const std::vector<int64_t> at = rows(b);
      for (std::size_t i = 0; i < at.size(); ++i)
        ahead(at[i], before(at, i, b, o.y, k.h0), before(at, i, b, o.c_all, k.c0));
      for (int64_t j = 0; j < H; ++j) {
        near<T>("last h", o.h[b * H + j], o.y[at.back() * H + j], 0, 0);
        if (k.lstm()) near<T>("last c", o.c[b * H + j], o.c_all[at.back() * H + j], 0, 0);
      }
      back(b, at, surely, perhaps);
    }
    if (k.clip == bptt::Clip::none) surely = perhaps = 0;
    if (o.clipped < surely || o.clipped > perhaps) fail("rows clipped", o.clipped, surely);
    sums();
  }

  void preactivations() const {
    for (int64_t n = 0; n < k.N; ++n)
      for (int64_t j = 0; j < k.width; ++j) {
        Sum sum;
        for (int64_t i = 0; i < k.I && !k.tokens; ++i)
          sum.add(operand(k.x[n * k.I + i], k.bf16), operand(k.w_ih[j * k.I + i], k.bf16));
        if (k.tokens) sum.add(k.w_ih[k.ids[n] * k.width + j]);
        if (!k.b_ih.empty()) sum.add(k.b_ih[j]);
        if (!k.b_hh.empty() && !(k.gru() && j >= 2 * H)) sum.add(k.b_hh[j]);
        near("pre-activation", o.x[n * k.width + j], sum.value, sum.size, k.I);
      }
  }

  void ahead(int64_t row, const T* h, const T* c) const {
    for (int64_t j = 0; j < H; ++j) {
      Sum p[4];
      for (int64_t g = 0; g < bptt::gates(k.cell); ++g) {
        if (!(k.gru() && g == 2)) p[g].add(o.x[row * k.width + g * H + j]);
        for (int64_t i = 0; h && i < H; ++i)
          p[g].add(operand(k.w[(g * H + j) * H + i], k.bf16), operand(h[i], k.bf16));
      }
      const T y = o.y[row * H + j];
      const auto gate = [&](int g) { return o.gates[row * k.width + g * H + j]; };
      const auto expect = [&](const char* what, T got, double expected, double size) {
        near(what, got, expected, 1 + size, H);
      };
      if (k.cell == bptt::Cell::rnn_tanh) expect("tanh", y, std::tanh(p[0].value), p[0].size);
      if (k.cell == bptt::Cell::rnn_relu) expect("relu", y, std::max(p[0].value, 0.0), p[0].size);
      if (k.gru()) {
        if (!k.b_hh.empty()) p[2].add(k.b_hh[2 * H + j]);
        const double hn = o.hn[row * H + j], n = o.x[row * k.width + 2 * H + j] + gate(0) * hn;
        expect("r", gate(0), sigmoid(p[0].value), p[0].size);
        expect("z", gate(1), sigmoid(p[1].value), p[1].size);
        expect("hn", o.hn[row * H + j], p[2].value, p[2].size);
        expect("n", gate(2), std::tanh(n), std::abs(n) + std::abs(hn));
        const double last = h ? h[j] : 0;
        expect("gru's h", y, gate(2) + gate(1) * (last - gate(2)), std::abs(last));
      }
      if (k.lstm()) {
        for (int g : {0, 1, 3}) expect("i, f, o", gate(g), sigmoid(p[g].value), p[g].size);
        expect("g", gate(2), std::tanh(p[2].value), p[2].size);
        const double last = c ? c[j] : 0, now = o.c_all[row * H + j];
        expect("c", o.c_all[row * H + j], gate(1) * last + gate(0) * gate(2), std::abs(last));
        expect("lstm's h", y, gate(3) * std::tanh(now), 0);
      }
    }
  }

  // What arrives at a row, clipped, and whether that changed it.
  std::vector<double> clipped(int64_t row, int64_t& surely, int64_t& perhaps) const {
    std::vector<double> dh(o.dh_all.begin() + row * H, o.dh_all.begin() + (row + 1) * H);
    double squares = 0, largest = 0;
    for (double d : dh) squares += d * d, largest = std::max(largest, std::abs(d));
    const double norm = std::sqrt(squares), limit = k.limit;
    near("norm of dh", o.norms[row], norm, norm, H);
    const bool by_norm = k.clip == bptt::Clip::norm;
    const double size = by_norm ? norm : largest;
    surely += size > limit * (1 + 1e-6);
    perhaps += size > limit * (1 - 1e-6);
    for (double& d : dh) {
      if (k.clip == bptt::Clip::value) d = std::max(-limit, std::min(limit, d));
      else if (by_norm && norm > limit) d *= limit / norm;
    }
    return dh;
  }

  void back(int64_t b, const std::vector<int64_t>& at, int64_t& surely, int64_t& perhaps) const {
    std::vector<Sum> dh(H), e(H);
    for (int64_t j = 0; j < H; ++j) {
      dh[j].add(k.dh[b * H + j]);
      e[j].add(k.dc[b * H + j]);
    }
    for (std::size_t i = at.size(); i-- > 0;) {
      const int64_t row = at[i];
      for (int64_t j = 0; j < H; ++j) {
        if (!k.dy.empty()) dh[j].add(k.dy[row * H + j]);
        near("dL/dh", o.dh_all[row * H + j], dh[j].value, dh[j].size, k.width);
        if (k.lstm()) near("e", o.e_all[row * H + j], e[j].value, e[j].size, 4);
      }
      cell_back(row, clipped(row, surely, perhaps), before(at, i, b, o.y, k.h0),
                before(at, i, b, o.c_all, k.c0), dh, e);
      for (int64_t j = 0; j < H; ++j)
        for (int64_t g = 0; g < k.width; ++g)
          dh[j].add(operand(handed(row, g), k.bf16), operand(k.w[g * H + j], k.bf16));
    }
    for (int64_t j = 0; j < H; ++j) {
      near("dL/dh_0", o.dh[b * H + j], dh[j].value, dh[j].size, k.width);
      if (k.lstm()) near("dL/dc_0", o.dc[b * H + j], e[j].value, e[j].size, 4);
    }
  }

  // The gradient of W_hh's product, as the core left it.
  T handed(int64_t row, int64_t g) const {
    return k.gru() && g >= 2 * H ? o.dhn[row * H + g - 2 * H] : o.dx[row * k.width + g];
  }

  // Checks the row's dx; leaves in dh and e what goes to the row before past W_hh.
  void cell_back(int64_t row, const std::vector<double>& arrived, const T* h, const T* c,
                 std::vector<Sum>& dh, std::vector<Sum>& e) const {
    double squares = 0;
    for (int64_t j = 0; j < H; ++j) {
      const double d = arrived[j], y = o.y[row * H + j], size = std::abs(d);
      const auto gate = [&](int g) { return double(o.gates[row * k.width + g * H + j]); };
      const auto expect = [&](int g, double expected, double of) {
        near("dx", o.dx[row * k.width + g * H + j], expected, of, 0);
      };
      dh[j] = {};
      if (k.cell == bptt::Cell::rnn_tanh) expect(0, d * (1 - y * y), size);
      if (k.cell == bptt::Cell::rnn_relu) expect(0, y > 0 ? d : 0, size);
      if (k.gru()) {
        const double r = gate(0), z = gate(1), n = gate(2), hn = o.hn[row * H + j], last = h ? h[j] : 0;
        const double dn = d * (1 - z) * (1 - n * n);
        expect(2, dn, size);
        expect(1, d * (last - n) * z * (1 - z), size * (1 + std::abs(last)));
        expect(0, dn * hn * r * (1 - r), size * std::abs(hn));
        near("dhn", o.dhn[row * H + j], dn * r, size, 0);
        dh[j].add(d, z);
      }
      if (k.lstm()) {
        const double i = gate(0), f = gate(1), g = gate(2), out = gate(3), last = c ? c[j] : 0;
        const double tanh_c = std::tanh(double(o.c_all[row * H + j]));
        const double arriving = o.e_all[row * H + j], total = arriving + d * out * (1 - tanh_c * tanh_c);
        const double both = size + std::abs(arriving);
        expect(0, total * g * i * (1 - i), both);
        expect(1, total * last * f * (1 - f), both * std::abs(last));
        expect(2, total * i * (1 - g * g), both);
        expect(3, d * tanh_c * out * (1 - out), size);
        e[j] = {total * f, both};
        squares += total * total;
      }
    }
    const double norm = std::sqrt(squares);
    near("norm of dc", o.norms[2 * k.N + row], norm, norm + row_size(row), H);
  }

  double row_size(int64_t row) const {
    double squares = 0;
    for (int64_t j = 0; j < H && k.lstm(); ++j)
      squares += std::pow(o.dh_all[row * H + j], 2) + std::pow(o.e_all[row * H + j], 2);
    return std::sqrt(squares);
  }

  void sums() const {
    for (int64_t g = 0; g < k.width; ++g) {
      Sum b_ih, b_hh;
      std::vector<Sum> w_hh(H), w_ih(k.tokens ? 0 : k.I);
      for (int64_t b = 0; b < k.B; ++b) {
        const std::vector<int64_t> at = rows(b);
        for (std::size_t i = 0; i < at.size(); ++i) {
          const T d = o.dx[at[i] * k.width + g], back = handed(at[i], g), *h = before(at, i, b, o.y, k.h0);
          b_ih.add(d);
          b_hh.add(back);
          for (int64_t j = 0; h && j < H; ++j) w_hh[j].add(operand(back, k.bf16), operand(h[j], k.bf16));
          for (std::size_t j = 0; j < w_ih.size(); ++j)
            w_ih[j].add(operand(d, k.bf16), operand(k.x[at[i] * k.I + j], k.bf16));
        }
      }
      near("d_b_ih", o.d_b_ih[g], b_ih.value, b_ih.size, k.N);
      near("d_b_hh", o.d_b_hh[g], b_hh.value, b_hh.size, k.N);
      for (int64_t j = 0; j < H; ++j)
        near("d_w_hh", o.d_w_hh[g * H + j], w_hh[j].value, w_hh[j].size, k.N);
      for (std::size_t j = 0; j < w_ih.size(); ++j)
        near("d_w_ih", o.d_w_ih[g * k.I + j], w_ih[j].value, w_ih[j].size, k.N);
    }
    k.tokens ? table() : inputs();
  }

  void inputs() const {
    for (int64_t n = 0; n < k.N; ++n)
      for (int64_t i = 0; i < k.I; ++i) {
        Sum sum;
        for (int64_t g = 0; g < k.width; ++g)
          sum.add(operand(o.dx[n * k.width + g], k.bf16), operand(k.w_ih[g * k.I + i], k.bf16));
        near("d_x", o.d_x[n * k.I + i], sum.value, sum.size, k.width);
      }
  }

  void table() const {
    std::vector<Sum> sums(k.I * k.width);
    for (int64_t n = 0; n < k.N; ++n)
      for (int64_t g = 0; g < k.width; ++g) sums[k.ids[n] * k.width + g].add(o.dx[n * k.width + g]);
    for (std::size_t i = 0; i < sums.size(); ++i)
      near("the table's gradient", o.d_w_ih[i], sums[i].value, sums[i].size, k.N);
  }
};

}  // namespace fuzz
