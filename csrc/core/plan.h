// How a call's work is shared out among threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "bptt.h"
#include "denormals.h"
#include "kernels.h"
#include "team.h"

namespace bptt {

// Work below which a second thread costs more than it saves, in multiply-adds.
constexpr double kWorthThreads = 250e3;      // a whole call
constexpr double kWorthMeeting = 8e3;       // one step, if threads must meet at its end
constexpr int64_t kRowsEach = 4;             // samples a thread should have before it goes alone

template <class Body>
void run_on(const Pool& pool, int parts, const Body& body) {
  if (parts == 1) return body(0);
  pool.run(parts, [](void* context, int i) { (*static_cast<const Body*>(context))(i); },
           const_cast<void*>(static_cast<const void*>(&body)));
}

// Cuts 0 .. count into `parts` runs of about equal length, in whole grains.
inline int64_t cut(int64_t count, int parts, int i, int64_t grain = 1) {
  const int64_t grains = (count + grain - 1) / grain;
  const int64_t at = grains * i / parts * grain;
  return at < count ? at : count;
}

// Cuts the batch so that each part has about the same number of rows over all steps.
inline std::vector<int64_t> cut_batch(const Steps& steps, int parts) {
  std::vector<int64_t> cuts(parts + 1, steps.B);
  cuts[0] = 0;
  std::vector<int64_t> length(steps.B, 0);
  for (int64_t t = 0; t < steps.T; ++t) {
    const int64_t rows = steps.offset[t + 1] - steps.offset[t];
    const int64_t next = t + 1 < steps.T ? steps.offset[t + 2] - steps.offset[t + 1] : 0;
    for (int64_t b = next; b < rows; ++b) length[b] = t + 1;
  }
  int64_t done = 0;
  int part = 1;
  for (int64_t b = 0; b < steps.B && part < parts; ++b) {
    done += length[b];
    if (done * parts >= steps.offset[steps.T] * part) cuts[part++] = b + 1;
  }
  return cuts;
}

struct Plan {
  int parts;
  bool team;
};

inline Plan plan(const Steps& steps, const Panels& panels, const Pool& pool) {
  const double step = double(gates(steps.cell)) * steps.H * steps.H * steps.B;
  if (pool.threads < 2 || step * steps.T < kWorthThreads) return {1, false};
  if (steps.B >= kRowsEach * pool.threads) return {pool.threads, false};
  const int members = static_cast<int>(std::min<int64_t>(
      {panels.count, pool.threads, static_cast<int64_t>(step / kWorthMeeting)}));
  if (members > 1) return {members, true};
  return {static_cast<int>(std::min<int64_t>(steps.B, pool.threads)), false};
}

// Runs body(part) for each share of the plan, denormals flushed.
template <class Body>
void run_parts(const Steps& steps, const Panels& panels, const Plan& plan, const Pool& pool,
               const Body& body) {
  const Part all{0, steps.B, 0, panels.count, 0, 1, nullptr};
  if (!plan.team) {
    const std::vector<int64_t> cuts = cut_batch(steps, plan.parts);
    return run_on(pool, plan.parts, [&](int i) {
      const FlushDenormals flush;
      Part part = all;
      part.r0 = cuts[i];
      part.r1 = cuts[i + 1];
      body(part, i);
    });
  }
  Team team(plan.parts);
  Barrier barrier(plan.parts);
  run_on(pool, plan.parts, [&](int i) {
    const FlushDenormals flush;
    const Team::Role role = team.join();
    if (role == Team::Role::idle) return;
    if (role == Team::Role::alone) return body(all, 0);
    body({0, steps.B, cut(panels.count, plan.parts, i), cut(panels.count, plan.parts, i + 1), i,
          plan.parts, &barrier}, i);
  });
}

}  // namespace bptt
