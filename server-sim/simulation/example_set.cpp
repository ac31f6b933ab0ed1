#include "server-sim/simulation/example_set.h"

#include <algorithm>

namespace inkling {

ExampleSet::ExampleSet(const Shape& features, std::vector<std::uint32_t> labels,
                       std::uint32_t label_count)
    : features_(features), labels_(std::move(labels)), label_count_(label_count) {}

Result<void> ExampleSet::check(std::size_t numbers) const {
  if (numbers != labels_.size() * feature_count() || labels_.empty() ||
      labels_.size() > 0xffffffffu) {
    return fail(ErrorCode::kInvalidArgument, "examples: ", numbers, " numbers for ", labels_.size(),
                " examples of ", features_);
  }
  const auto wrong = std::find_if(labels_.begin(), labels_.end(),
                                  [&](std::uint32_t label) { return label >= label_count_; });
  if (wrong != labels_.end()) {
    return fail(ErrorCode::kInvalidArgument, "examples: label ", *wrong, ", expected below ",
                label_count_);
  }
  return {};
}

Result<ExampleSet> ExampleSet::from_values(const Shape& features, std::vector<float> values,
                                           std::vector<std::uint32_t> labels,
                                           std::uint32_t label_count) {
  ExampleSet set(features, std::move(labels), label_count);
  INK_CHECK_OK(set.check(values.size()));
  set.values_ = std::move(values);
  return set;
}

Result<ExampleSet> ExampleSet::from_slates(const Shape& features, std::vector<float> values,
                                           std::span<const SlateChoice> slates) {
  const auto places = static_cast<std::uint32_t>(features.rank() > 0 ? features[0] : 0);
  std::vector<std::uint32_t> labels, alternatives, choices;
  std::vector<std::size_t> first = {0};
  for (const SlateChoice& slate : slates) {
    const auto& chosen = slate.chosen;
    const bool is_inside = std::all_of(chosen.begin(), chosen.end(), [&](std::uint32_t place) {
      return place < slate.alternatives;
    });
    if (chosen.empty() || !is_inside || slate.alternatives > places) {
      return fail(ErrorCode::kInvalidArgument, "examples: slate ", labels.size(), " of ",
                  slate.alternatives, " alternatives, ", chosen.size(), " chosen: expected up to ",
                  places, ", and a choice among them");
    }
    labels.push_back(chosen.front());
    alternatives.push_back(slate.alternatives);
    choices.insert(choices.end(), chosen.begin(), chosen.end());
    first.push_back(choices.size());
  }
  INK_TRY(ExampleSet set, from_values(features, std::move(values), std::move(labels), places));
  set.alternatives_ = std::move(alternatives);
  set.choices_ = std::move(choices);
  set.first_choice_ = std::move(first);
  return set;
}

Result<ExampleSet> ExampleSet::from_active(std::size_t width, std::vector<std::uint32_t> active,
                                           std::vector<std::uint32_t> labels,
                                           std::uint32_t label_count) {
  const std::size_t examples = std::max<std::size_t>(labels.size(), 1);
  const auto wrong =
      std::find_if(active.begin(), active.end(), [&](std::uint32_t i) { return i >= width; });
  if (active.size() % examples != 0 || active.empty() || wrong != active.end()) {
    return fail(ErrorCode::kInvalidArgument, "examples: ", active.size(), " active features for ",
                labels.size(), " examples of ", width);
  }
  ExampleSet set({static_cast<std::int64_t>(width)}, std::move(labels), label_count);
  INK_CHECK_OK(set.check(examples * width));
  set.active_ = std::move(active);
  return set;
}

std::span<const std::uint32_t> ExampleSet::labels_of(std::size_t example) const {
  if (choices_.empty()) return std::span(labels_).subspan(example, 1);
  return std::span(choices_).subspan(first_choice_[example],
                                     first_choice_[example + 1] - first_choice_[example]);
}

Result<ExampleSet> ExampleSet::from_pixels(const Shape& features, Bytes pixels, float mean,
                                           float deviation, std::vector<std::uint32_t> labels,
                                           std::uint32_t label_count) {
  ExampleSet set(features, std::move(labels), label_count);
  INK_CHECK_OK(set.check(pixels.size()));
  set.pixels_ = std::move(pixels);
  set.mean_ = mean;
  set.deviation_ = deviation;
  return set;
}

std::size_t ExampleSet::bytes() const {
  return values_.size() * sizeof(float) + pixels_.size() +
         (labels_.size() + active_.size() + alternatives_.size() + choices_.size()) *
             sizeof(labels_[0]) +
         first_choice_.size() * sizeof(first_choice_[0]);
}

void ExampleSet::fill_features(std::size_t example, std::span<float> to) const {
  const std::size_t count = feature_count();
  if (!active_.empty()) {
    const std::size_t active = active_.size() / size();
    std::fill_n(to.begin(), count, 0.0f);
    for (std::size_t i = 0; i < active; ++i) to[active_[example * active + i]] = 1.0f;
    return;
  }
  if (!values_.empty()) {
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(example * count), count, to.begin());
    return;
  }
  const std::uint8_t* from = pixels_.data() + example * count;
  std::transform(from, from + count, to.begin(), [mean = mean_, deviation = deviation_](auto p) {
    return (static_cast<float>(p) - mean) / deviation;  // in vectors, which a table is not
  });
}

// Clients' examples lie anywhere: the loads of the next one run while this one is worked on.
void ExampleSet::prefetch(std::size_t example) const {
  if (!active_.empty()) return;  // a few numbers
  constexpr std::size_t kLine = 64;
  const std::size_t count = feature_count();
  const auto* from = values_.empty()
                         ? pixels_.data() + example * count
                         : reinterpret_cast<const std::uint8_t*>(values_.data() + example * count);
  const std::size_t size = values_.empty() ? count : count * sizeof(float);
  for (std::size_t at = 0; at < size; at += kLine) __builtin_prefetch(from + at);
}

}  // namespace inkling
