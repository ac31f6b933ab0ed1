#pragma once
// ExampleSet: the examples that all clients of a simulation share, read-only. A client is a list of
// indices into it (partition.h), so that a population costs no copy of its data.
//
// An example is a tensor of features and one label: a class, or the alternative that was chosen in
// a slate, of which several may have been. Pictures stay bytes until a batch is filled, and rows of
// which few features are 1 and all others 0 stay the list of those.

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/bytes.h"
#include "runtime/tensor.h"

namespace inkling {

struct SlateChoice {
  std::uint32_t alternatives = 0;       // that the slate has: the first so many places
  std::vector<std::uint32_t> chosen{};  // at least one; equal in weight
};

class ExampleSet {
 public:
  // values: f32[examples, features...]. labels: each below `label_count`.
  // kInvalidArgument: sizes that do not fit, or a label out of range.
  static Result<ExampleSet> from_values(const Shape& features, std::vector<float> values,
                                        std::vector<std::uint32_t> labels,
                                        std::uint32_t label_count);
  // Slates of up to features[0] alternatives.
  static Result<ExampleSet> from_slates(const Shape& features, std::vector<float> values,
                                        std::span<const SlateChoice> slates);
  // Rows of `width` features: those in `active`, u32[examples, active of an example], are 1.
  static Result<ExampleSet> from_active(std::size_t width, std::vector<std::uint32_t> active,
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
  // One of each example: the first of those that have several.
  std::span<const std::uint32_t> labels() const { return labels_; }
  std::span<const std::uint32_t> labels_of(std::size_t example) const;
  // From from_slates(), and the alternatives of one.
  bool has_slates() const { return !alternatives_.empty(); }
  std::size_t alternatives(std::size_t example) const { return alternatives_[example]; }
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
  std::vector<std::uint32_t> active_;
  std::vector<std::uint32_t> alternatives_;  // of each slate
  std::vector<std::uint32_t> choices_;       // of all slates
  std::vector<std::size_t> first_choice_;    // of each slate, and the end
  Bytes pixels_;
  float mean_ = 0, deviation_ = 1;  // of pixels_
};

}  // namespace inkling
