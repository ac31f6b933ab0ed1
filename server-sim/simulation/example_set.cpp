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
  return values_.size() * sizeof(float) + pixels_.size() + labels_.size() * sizeof(labels_[0]);
}

void ExampleSet::fill_features(std::size_t example, std::span<float> to) const {
  const std::size_t count = feature_count();
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
  constexpr std::size_t kLine = 64;
  const std::size_t count = feature_count();
  const auto* from = values_.empty()
                         ? pixels_.data() + example * count
                         : reinterpret_cast<const std::uint8_t*>(values_.data() + example * count);
  const std::size_t size = values_.empty() ? count : count * sizeof(float);
  for (std::size_t at = 0; at < size; at += kLine) __builtin_prefetch(from + at);
}

}  // namespace inkling
