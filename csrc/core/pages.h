// Large arrays on large pages.
//
// A C library returns large arrays to the system when they are freed, so each call meets its own
// for the first time, and the system hands it over page by page. With pages of 4 KB that took as
// long as the work on it: 27,000 faults in one update of an LSTM of 128 units and 128 samples.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace bptt {

constexpr std::size_t kLargePage = std::size_t(2) << 20;

// Asks for large pages under [start, start + bytes), if that is worth a call. A wish: the system may
// not grant it, and nothing but time depends on it.
inline void prefer_large_pages(void* start, std::size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (bytes < 2 * kLargePage) return;
  const auto from = (reinterpret_cast<std::uintptr_t>(start) + kLargePage - 1) & ~(kLargePage - 1);
  const auto to = (reinterpret_cast<std::uintptr_t>(start) + bytes) & ~(kLargePage - 1);
  if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#else
  (void)start;
  (void)bytes;
#endif
}

}  // namespace bptt
