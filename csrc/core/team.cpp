#include "team.h"

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <sched.h>
#endif

#include <chrono>

namespace bptt {
namespace {

// Some ten times a step's difference between members. Whoever waits longer waits for a thread that
// has no processor, and does best to leave it its own.
constexpr int kSpins = 1000;
constexpr auto kPatience = std::chrono::microseconds(150);

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Sleeps until `word` may have changed from `value`. Whoever changes it calls wake after that.
#if defined(__linux__)
static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t), "a futex is a plain word");

void sleep_while(std::atomic<uint32_t>& word, uint32_t value) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void wake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
}
#else
void sleep_while(std::atomic<uint32_t>&, uint32_t) { sched_yield(); }

void wake(std::atomic<uint32_t>&) {}
#endif

}  // namespace

void Barrier::wait() {
  const uint32_t round = round_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1);
    if (sleepers_.load() > 0) wake(round_);
    return;
  }
  for (int spins = 0; spins < kSpins; ++spins) {
    if (round_.load(std::memory_order_acquire) != round) return;
    relax();
  }
  sleepers_.fetch_add(1);
  while (round_.load() == round) sleep_while(round_, round);
  sleepers_.fetch_sub(1);
}

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
