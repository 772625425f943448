// Bytes of a fuzzer into a call of the core: which cell, which shape, which options, which numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "../core/bptt.h"
#include "../core/layer.h"

namespace fuzz {

// One byte a choice, so that a fuzzer that changes a byte changes one thing. Past the end all are 0.
class Bytes {
 public:
  Bytes(const uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

  int64_t pick(int64_t low, int64_t high) { return low + next() % (high - low + 1); }
  bool flag() { return next() & 1; }
  std::size_t left() const { return end_ - at_; }
  const uint8_t* at() const { return at_; }

  template <class T>
  T raw() {
    T x{};
    for (std::size_t i = 0; i < sizeof x; ++i) {
      const uint8_t byte = next();
      std::memcpy(reinterpret_cast<char*>(&x) + i, &byte, 1);
    }
    return x;
  }

 private:
  uint8_t next() { return at_ < end_ ? *at_++ : 0; }
  const uint8_t *at_, *end_;
};

// Numbers in [-scale, scale]: a byte for their scale, two for their seed.
template <class T>
std::vector<T> numbers(int64_t count, Bytes& bytes, double size = 1) {
  static constexpr double kScales[] = {1, 0.1, 4, 1e-3, 0};
  const double scale = size * kScales[bytes.pick(0, 4)];
  uint64_t state = bytes.raw<uint16_t>();
  std::vector<T> found(count);
  for (T& x : found) {
    uint64_t z = state += 0x9e3779b97f4a7c15;  // splitmix64
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    x = static_cast<T>(scale * (static_cast<double>((z ^ (z >> 31)) >> 11) / (1ull << 52) - 1));
  }
  return found;
}

// A layer in one direction, with everything that the core is given. Arrays have exactly the size that
// the contracts name, so that the address sanitizer sees any step beyond them.
template <class T>
struct Case {
  bptt::Cell cell;
  int64_t B, H, I, steps, N, width;
  bool reverse, bf16, tokens;
  std::vector<int64_t> lengths, offset, ids;
  std::vector<T> x, w_ih, b_ih, b_hh, w, h0, c0, dy, dh, dc;  // an optional one that is empty is null
  bptt::Clip clip;
  T limit;
  bool wild;  // some numbers are any bits at all: infinite, not a number, denormal

  explicit Case(Bytes& bytes) {
    cell = static_cast<bptt::Cell>(bytes.pick(0, 3));
    const bool large = bytes.pick(0, 15) == 15;  // enough work for several threads
    B = bytes.pick(1, large ? 3 : 9);
    H = large ? bytes.pick(100, 140) : bytes.pick(1, 40);
    I = bytes.pick(1, 20);
    reverse = bytes.flag();
    bf16 = bytes.flag() && sizeof(T) == sizeof(float);
    tokens = bytes.flag();
    int64_t longest = large ? bytes.pick(4, 8) : bytes.pick(1, 9);
    const bool equal = bytes.flag();
    for (int64_t b = 0; b < B; ++b) {
      lengths.push_back(longest);
      if (!equal) longest = std::max<int64_t>(1, longest - bytes.pick(0, 2));
    }
    steps = lengths[0];
    offset.assign(steps + 1, 0);
    for (int64_t t = 0; t < steps; ++t)
      offset[t + 1] = offset[t] + std::count_if(lengths.begin(), lengths.end(),
                                                [t](int64_t length) { return length > t; });
    N = offset[steps];
    width = bptt::gates(cell) * H;
    fill(bytes);
  }

  bptt::Steps where() const { return {cell, steps, B, H, offset.data(), reverse, bf16}; }
  bptt::Input<T> input() const {
    return {tokens ? nullptr : x.data(), tokens ? ids.data() : nullptr, I, w_ih.data()};
  }
  bool gru() const { return cell == bptt::Cell::gru; }
  bool lstm() const { return cell == bptt::Cell::lstm; }

 private:
  void fill(Bytes& bytes) {
    const double size = 1 / std::sqrt(static_cast<double>(H));
    if (!tokens) x = numbers<T>(N * I, bytes);
    for (int64_t i = 0; tokens && i < N; ++i) ids.push_back(bytes.pick(0, I - 1));
    w_ih = numbers<T>(width * I, bytes);
    w = numbers<T>(width * H, bytes, size);
    for (std::vector<T>* bias : {&b_ih, &b_hh})
      if (bytes.flag()) *bias = numbers<T>(width, bytes);
    for (std::vector<T>* state : {&h0, &c0})
      if (bytes.flag()) *state = numbers<T>(B * H, bytes);
    if (bytes.flag()) dy = numbers<T>(N * H, bytes);
    for (std::vector<T>* state : {&dh, &dc}) *state = numbers<T>(B * H, bytes);
    clip = static_cast<bptt::Clip>(bytes.pick(0, 2));
    limit = static_cast<T>(std::ldexp(1.0, static_cast<int>(bytes.pick(0, 40)) - 30));
    wild = bytes.pick(0, 7) == 7;
    for (std::vector<T>* a : {&x, &w_ih, &b_ih, &b_hh, &w, &h0, &c0, &dy, &dh, &dc})
      if (wild && !a->empty() && bytes.flag()) (*a)[bytes.raw<uint16_t>() % a->size()] = bytes.raw<T>();
  }
};

template <class T>
const T* given(const std::vector<T>& optional) {
  return optional.empty() ? nullptr : optional.data();
}

}  // namespace fuzz
