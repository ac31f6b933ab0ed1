#include "rerank/learn/training_data.h"

#include <algorithm>
#include <map>

namespace inkling {

namespace {

struct Shown {
  std::vector<Event> impressions;  // as logged
  std::vector<ItemId> chosen;      // in the order of choosing, may repeat
};

// The slate of one request, or nothing when a part of it is missing.
std::optional<EncodedSlate> assemble(RequestId request, Shown& shown, const FeatureSchema& schema) {
  auto& impressions = shown.impressions;
  std::stable_sort(impressions.begin(), impressions.end(),
                   [](const Event& a, const Event& b) { return a.position < b.position; });
  EncodedSlate slate{.request = request, .alternatives = impressions.size()};
  for (std::size_t i = 0; i < impressions.size(); ++i) {
    const Event& event = impressions[i];
    if (event.position != i || event.schema != schema.fingerprint() ||
        event.features.size() != schema.width())
      return std::nullopt;
    slate.features.insert(slate.features.end(), event.features.begin(), event.features.end());
  }
  for (const ItemId item : shown.chosen) {
    const auto found = std::find_if(impressions.begin(), impressions.end(),
                                    [&](const Event& event) { return event.item == item; });
    if (found == impressions.end()) return std::nullopt;
    const auto place = static_cast<std::size_t>(found - impressions.begin());
    if (std::find(slate.chosen.begin(), slate.chosen.end(), place) == slate.chosen.end())
      slate.chosen.push_back(place);
  }
  return slate;
}

}  // namespace

Result<std::vector<Event>> slate_events(const Slate& slate, const FeatureSchema& schema,
                                        EventKind choice) {
  std::vector<Event> events;
  INK_TRY(const std::vector<float> features, schema.encode(slate.candidates));
  auto row = features.begin();
  for (std::size_t i = 0; i < slate.candidates.size(); ++i) {
    const auto end = row + static_cast<std::ptrdiff_t>(schema.width());
    events.push_back({.kind = EventKind::kImpression,
                      .time_ms = slate.time_ms,
                      .request = slate.request,
                      .item = slate.candidates[i].item,
                      .position = static_cast<std::uint32_t>(i),
                      .server_score = slate.candidates[i].server_score,
                      .schema = schema.fingerprint(),
                      .features = {row, end}});
    row = end;
  }
  for (const std::size_t place : slate.chosen) {
    if (place >= slate.candidates.size()) {
      return fail(ErrorCode::kInvalidArgument, "slate ", slate.request, ": choice ", place, " of ",
                  slate.candidates.size(), " candidates");
    }
    events.push_back({.kind = choice,
                      .time_ms = slate.time_ms + 1,
                      .request = slate.request,
                      .item = slate.candidates[place].item,
                      .position = static_cast<std::uint32_t>(place),
                      .features = {}});
  }
  return events;
}

Result<TrainingData> read_training_data(BehaviorLog& log, const FeatureSchema& schema,
                                        EventKind choice) {
  return read_training_data(log, schema, std::span(&choice, 1));
}

Result<TrainingData> read_training_data(BehaviorLog& log, const FeatureSchema& schema,
                                        std::span<const EventKind> choices) {
  std::map<RequestId, Shown> by_request;
  std::vector<RequestId> order;
  INK_TRY(const ScanReport report, log.scan({}, [&](const Event& event) {
    if (event.kind != EventKind::kImpression &&
        std::find(choices.begin(), choices.end(), event.kind) == choices.end())
      return;
    const auto [entry, is_new] = by_request.try_emplace(event.request);
    if (is_new) order.push_back(event.request);
    if (event.kind == EventKind::kImpression)
      entry->second.impressions.push_back(event);
    else
      entry->second.chosen.push_back(event.item);
  }));
  TrainingData data{.damaged = report.damaged};
  for (const RequestId request : order) {
    Shown& shown = by_request.at(request);
    if (shown.chosen.empty()) {
      ++data.without_choice;
    } else if (auto slate = assemble(request, shown, schema)) {
      data.slates.push_back(*std::move(slate));
    } else {
      ++data.incomplete;
    }
  }
  return data;
}

Result<void> fill_batch(std::span<const EncodedSlate> slates, const SlateBatch& batch) {
  const auto rows = static_cast<std::size_t>(batch.targets.shape()[0]),
             places = static_cast<std::size_t>(batch.targets.shape()[1]),
             width = static_cast<std::size_t>(batch.features.shape()[1]);
  INK_CHECK_OK(check_slates(slates, width));
  const auto features = batch.features.span<float>(), targets = batch.targets.span<float>(),
             mask = batch.mask.span<float>();
  if (slates.size() > rows) {
    return fail(ErrorCode::kResourceLimit, "batch: ", slates.size(), " slates, room for ", rows);
  }
  std::fill(features.begin(), features.end(), 0.0f);
  std::fill(targets.begin(), targets.end(), 0.0f);
  std::fill(mask.begin(), mask.end(), 0.0f);
  for (std::size_t i = 0; i < slates.size(); ++i) {
    const EncodedSlate& slate = slates[i];
    if (slate.alternatives > places) {
      return fail(ErrorCode::kResourceLimit, "batch: slate ", slate.request, " has ",
                  slate.alternatives, " alternatives, room for ", places);
    }
    std::copy(slate.features.begin(), slate.features.end(),
              features.begin() + static_cast<std::ptrdiff_t>(i * places * width));
    for (const std::size_t place : slate.chosen)
      targets[i * places + place] = 1.0f / static_cast<float>(slate.chosen.size());
    for (std::size_t j = slate.alternatives; j < places; ++j) mask[i * places + j] = kAbsent;
  }
  return {};
}

}  // namespace inkling
