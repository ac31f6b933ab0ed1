#pragma once
// Events for the log's tests: every field is set, and differs from event to event.

#include "storage/behavior_log.h"

namespace inkling {

inline Event event_at(std::int64_t time_ms, std::uint64_t n = 0) {
  return {.kind = EventKind::kClick,
          .time_ms = time_ms,
          .request = 1000 + n,
          .item = ~std::uint64_t{0} - n,
          .position = static_cast<std::uint32_t>(n),
          .propensity = 0.25,
          .server_score = 0.5 - static_cast<double>(n),
          .dwell_ms = 4'000'000'000u,
          .scroll = -0.0,
          .schema = std::uint64_t{1} << 63,
          .features = {1.5f, -2.0f, static_cast<float>(n)}};
}

inline std::vector<Event> events_of(BehaviorLog& log, TimeRange range = {}) {
  std::vector<Event> events;
  const auto report = log.scan(range, [&](const Event& e) { events.push_back(e); });
  EXPECT_TRUE(report) << report.error().message;
  if (report) {
    EXPECT_EQ(report->rows, events.size());
    EXPECT_EQ(report->damaged, 0u);
  }
  return events;
}

}  // namespace inkling
