#include "server-sim/simulation/async_cohort.h"

#include <algorithm>
#include <bit>

namespace inkling {

namespace {

constexpr double kDayS = 24 * 3600.0;
constexpr double kWaitS = 600;  // for somebody to be available

}  // namespace

AsyncOutcome AsyncCohort::play(const Population& population, std::uint64_t step, double now_s,
                               const Workload& work,
                               const std::function<double(std::uint64_t client)>& examples_of) {
  AsyncOutcome outcome;
  const double begin_s = now_s;
  double idle_s = 0;
  const auto is_busy = [&](std::uint64_t client) {
    return std::any_of(flights_.begin(), flights_.end(),
                       [&](const Flight& f) { return f.client == client; }) ||
           std::any_of(outcome.reported.begin(), outcome.reported.end(),
                       [&](const auto& report) { return report.client == client; });
  };
  while (outcome.reported.size() < spec_.buffer && idle_s < kDayS) {
    while (flights_.size() < spec_.concurrency) {
      const auto client = population.invite_one(begun_ + 1, now_s, is_busy);
      if (!client) break;
      ++begun_;
      ++outcome.asked;
      const DeviceTurn turn = population.turn_of(begun_, *client, examples_of(*client), work);
      const bool is_lost = turn.is_lost || turn.seconds > spec_.deadline_s;
      flights_.push_back({.until_s = now_s + (is_lost ? spec_.deadline_s : turn.seconds),
                          .number = begun_,
                          .client = *client,
                          .step = step,
                          .is_lost = is_lost});
      std::push_heap(flights_.begin(), flights_.end());
    }
    if (flights_.empty()) {
      now_s += kWaitS;
      idle_s += kWaitS;
      continue;
    }
    std::pop_heap(flights_.begin(), flights_.end());
    const Flight flight = flights_.back();
    flights_.pop_back();
    now_s = std::max(now_s, flight.until_s);
    const std::uint64_t staleness = step - flight.step;
    if (flight.is_lost || staleness > spec_.staleness_max) {
      outcome.lost.push_back(flight.client);
    } else {
      outcome.reported.push_back({.client = flight.client, .staleness = staleness});
    }
  }
  std::sort(outcome.reported.begin(), outcome.reported.end(),
            [](const auto& a, const auto& b) { return a.client < b.client; });
  outcome.seconds = now_s - begin_s;
  return outcome;
}

Bytes AsyncCohort::save() const {
  ByteWriter writer;
  writer.u64(begun_);
  writer.u64(flights_.size());
  for (const Flight& flight : flights_) {
    writer.u64(std::bit_cast<std::uint64_t>(flight.until_s));
    writer.u64(flight.number);
    writer.u64(flight.client);
    writer.u64(flight.step);
    writer.u8(flight.is_lost ? 1 : 0);
  }
  return writer.take();
}

Result<void> AsyncCohort::load(ByteSpan bytes) {
  ByteReader reader(bytes);
  begun_ = reader.u64();
  const std::uint64_t count = reader.u64();
  flights_.clear();
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
    Flight flight;
    flight.until_s = std::bit_cast<double>(reader.u64());
    flight.number = reader.u64();
    flight.client = reader.u64();
    flight.step = reader.u64();
    flight.is_lost = reader.u8() != 0;
    flights_.push_back(flight);
  }
  if (!reader.finished() || flights_.size() > spec_.concurrency)
    return fail(ErrorCode::kCorrupt, "checkpoint: ", bytes.size(), " bytes of devices at work");
  std::make_heap(flights_.begin(), flights_.end());
  return {};
}

}  // namespace inkling
