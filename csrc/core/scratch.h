// Memory that a call needs for itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "pages.h"

namespace bptt {

// Who may hold scratch at the same time: a call, and the kernels that it runs.
enum class Scratch { kernel, call };

// Scratch of the calling thread: one block that grows and is used again, carved from its start.
template <Scratch use = Scratch::kernel>
class Arena {
 public:
  explicit Arena(std::size_t bytes) {
    if (bytes > size()) {
      block() = Block();
      size() = 0;
      const std::size_t whole = bytes < kLargePage ? bytes : (bytes + kLargePage - 1) & ~(kLargePage - 1);
      block() = Block(static_cast<char*>(::operator new(whole, kAlignment)));
      prefer_large_pages(block().get(), whole);
      size() = whole;
    }
    next_ = block().get();
  }

  template <class T>
  T* take(int64_t count) {
    T* start = reinterpret_cast<T*>(next_);
    next_ += bytes<T>(count);
    return start;
  }

  template <class T>
  static std::size_t bytes(int64_t count) {
    return (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
  }

 private:
  static constexpr std::align_val_t kAlignment{kLargePage};
  struct Free {
    void operator()(char* p) const { ::operator delete(p, kAlignment); }
  };
  using Block = std::unique_ptr<char, Free>;
  static Block& block() {
    static thread_local Block block;
    return block;
  }
  static std::size_t& size() {
    static thread_local std::size_t size = 0;
    return size;
  }
  char* next_;
};

// Row stride: whole cache lines, and one more so that rows do not share cache sets.
template <class T>
int64_t padded(int64_t n) {
  constexpr int64_t line = 64 / sizeof(T);
  return (n + line - 1) / line * line + line;
}

}  // namespace bptt
