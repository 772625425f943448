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
  using Duration = Clock::duration;

  // Threads to use now, of the number allowed.
  int threads(int allowed, Clock::time_point now) const {
    if (allowed < 2) return 1;
    return now.time_since_epoch().count() < until_.load(std::memory_order_relaxed) ? 1 : allowed;
  }

  // A parallel region that ended at `now` took `wall`, of which the calling thread was at work for
  // `worked`: on a processor, and not waiting for the others. Its `parts` are about equal, so one
  // thread would have needed parts * worked. What the region lost against that is paid back: for so
  // many times longer no other is tried, so that all losses together stay a small share of the time.
  void report(int parts, Duration wall, Duration worked, Clock::time_point now) {
    const Duration lost = wall - parts * worked;
    if (lost < kStall) return;
    const Duration rest = std::min<Duration>(kRest * lost, kLongest);
    until_.store((now + rest).time_since_epoch().count(), std::memory_order_relaxed);
  }

 private:
  // Shorter than a slice of any scheduler, longer than waking a thread takes.
  static constexpr std::chrono::microseconds kStall{500};
  static constexpr int kRest = 32;
  static constexpr std::chrono::seconds kLongest{2};

  std::atomic<Clock::rep> until_{0};
};

}  // namespace bptt
