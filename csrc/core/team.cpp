#include "team.h"

#include <sched.h>

#include <chrono>

namespace bptt {
namespace {

thread_local int64_t waited_beyond = 0;

constexpr int kSpins = 4000;
constexpr auto kPatience = std::chrono::microseconds(300);

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void Barrier::wait() {
  const uint32_t round = round_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; spins < kSpins; ++spins) {
    if (round_.load(std::memory_order_acquire) != round) return;
    relax();
  }
  const auto start = std::chrono::steady_clock::now();
  while (round_.load(std::memory_order_acquire) == round) sched_yield();
  waited_beyond += std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count();
}

int64_t Barrier::given_up() { return waited_beyond; }

Team::Role Team::join() {
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
    int open = 0;
    return verdict_.compare_exchange_strong(open, 1) ? Role::member : Role::idle;
  }
  const auto start = std::chrono::steady_clock::now();
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      const int verdict = verdict_.load(std::memory_order_acquire);
      if (verdict != 0) return verdict == 1 ? Role::member : Role::idle;
      relax();
    }
    if (std::chrono::steady_clock::now() - start < kPatience) continue;
    int open = 0;
    if (verdict_.compare_exchange_strong(open, 2)) return Role::alone;
  }
}

}  // namespace bptt
