#pragma once
// ExampleSet: the examples that all clients of a simulation share, read-only. A client is a list of
// indices into it (partition.h), so that a population costs no copy of its data.
//
// An example is a tensor of features and one label: a class, or the alternative that was chosen in
// a slate. Pictures stay bytes until a batch is filled.

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/tensor.h"

namespace inkling {

class ExampleSet {
 public:
  // values: f32[examples, features...]. labels: each below `label_count`.
  // kInvalidArgument: sizes that do not fit, or a label out of range.
  static Result<ExampleSet> from_values(const Shape& features, std::vector<float> values,
                                        std::vector<std::uint32_t> labels,
                                        std::uint32_t label_count);
  // A feature is (byte - mean) / deviation, both in units of a byte.
  static Result<ExampleSet> from_pixels(const Shape& features, Bytes pixels, float mean,
                                        float deviation, std::vector<std::uint32_t> labels,
                                        std::uint32_t label_count);

  std::size_t size() const { return labels_.size(); }
  const Shape& features() const { return features_; }
  std::size_t feature_count() const { return static_cast<std::size_t>(features_.elements()); }
  std::uint32_t label_count() const { return label_count_; }
  std::span<const std::uint32_t> labels() const { return labels_; }
  std::size_t bytes() const;

  // to: f32[feature_count()].
  void fill_features(std::size_t example, std::span<float> to) const;
  // The example will be filled soon.
  void prefetch(std::size_t example) const;

 private:
  ExampleSet(const Shape& features, std::vector<std::uint32_t> labels, std::uint32_t label_count);
  Result<void> check(std::size_t numbers) const;

  Shape features_;
  std::vector<std::uint32_t> labels_;
  std::uint32_t label_count_;
  std::vector<float> values_;
  Bytes pixels_;
  float mean_ = 0, deviation_ = 1;  // of pixels_
};

}  // namespace inkling
