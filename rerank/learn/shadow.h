#pragma once
// Shadow score: whether a new model for everyone predicts what this person chose worse than the one
// before it. Both see the same logged requests, each with the history that its own layout makes of
// those before, as if it had been in use at the time. Neither has a patch.

#include "rerank/history.h"
#include "rerank/scorer.h"
#include "storage/behavior_log.h"

namespace inkling {

struct LoggedRequest {
  RequestId request = 0;
  std::vector<ItemId> items{};
  std::vector<float> rows{};  // f32[items, base width]
  std::vector<std::size_t> chosen{};
};

// The requests whose impressions were logged under one of the `schemas`, of which all begin with
// the same `base_width` columns, in the order shown. An item with an event of one of the kinds is
// chosen. Errors of BehaviorLog::scan.
Result<std::vector<LoggedRequest>> read_requests(BehaviorLog& log,
                                                 std::span<const std::uint64_t> schemas,
                                                 std::size_t base_width,
                                                 std::span<const EventKind> choices);

// -log P of what was chosen, in nats, for each of the latest `latest` requests in which something
// was chosen and something was not. Errors of PlannedScorer::create and of History::observe.
Result<std::vector<double>> shadow_nll(const HistoryLayout& layout, const Model& model,
                                       std::span<const LoggedRequest> requests, std::size_t latest);

struct ShadowSpec {
  std::size_t requests_min = 8, requests_max = 64;  // compared on; with fewer nothing is said
  // It is worse if it loses more than margin nats in all and more than confidence standard errors.
  double margin = 0.5;
  double confidence = 2;
};

struct ShadowScore {
  std::size_t requests = 0;  // 0: too few
  double gain = 0;           // nats a request of the new model over the old one
  bool worse = false;
};

// One value a request, by both models. kInvalidArgument: other numbers of them. A model that is not
// finite on a request is worse.
Result<ShadowScore> shadow_score(std::span<const double> before, std::span<const double> now,
                                 const ShadowSpec& spec);

}  // namespace inkling
