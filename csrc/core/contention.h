// Notices that the processors are shared with other busy programs, and keeps to one thread then.
//
// A parallel region ends when its last thread does. If another program holds that thread's
// processor, everyone waits for a slice of the scheduler's time, many times what the work takes.
// Results do not depend on the number of threads, so nothing but time changes.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace bptt {

class Contention {
 public:
  using Clock = std::chrono::steady_clock;

  // Threads to use now, of the number allowed.
  int threads(int allowed) {
    if (allowed < 2) return 1;
    if (alone_.load(std::memory_order_relaxed) <= 0) return allowed;
    alone_.fetch_sub(1, std::memory_order_relaxed);
    return 1;
  }

  // A parallel region is over: the calling thread worked for `worked` and waited for others for
  // `waited`. Alone it would have worked twice as long, at least, and not waited.
  void report(Clock::duration worked, Clock::duration waited) {
    if (waited < kStall || waited < worked) {
      penalty_.store(kShortest, std::memory_order_relaxed);
      return;
    }
    const int penalty = penalty_.load(std::memory_order_relaxed);
    alone_.store(penalty, std::memory_order_relaxed);
    penalty_.store(std::min(2 * penalty, kLongest), std::memory_order_relaxed);
  }

 private:
  static constexpr auto kStall = std::chrono::microseconds(1500);  // no fair share explains it
  static constexpr int kShortest = 16, kLongest = 512;  // regions to run alone after a stall

  std::atomic<int> alone_{0};
  std::atomic<int> penalty_{kShortest};
};

}  // namespace bptt
