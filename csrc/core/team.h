// Threads that must run at the same time, on a pool that does not promise it.
#pragma once

#include <atomic>
#include <cstdint>

namespace bptt {

// Meeting point of `count` threads. Waits by spinning for a moment, then sleeps.
class Barrier {
 public:
  explicit Barrier(int count) : count_(count) {}
  void wait();

 private:
  const int count_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> round_{0};
  std::atomic<int> sleepers_{0};
};

// Finds out whether a pool's calls really run side by side, so that a barrier cannot deadlock: a
// pool may run its parts one after the other, as torch's does inside a parallel region.
class Team {
 public:
  enum class Role { member, alone, idle };
  explicit Team(int count) : count_(count) {}

  // Each part calls it once. All come within a moment: all are members. Otherwise the first whose
  // patience ends does everything alone, and the others are idle.
  Role join();

 private:
  const int count_;
  std::atomic<int> arrived_{0};
  std::atomic<int> verdict_{0};  // 0 open, 1 together, 2 alone
};

}  // namespace bptt
