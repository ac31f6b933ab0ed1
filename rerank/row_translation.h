#pragma once
// RowTranslation: how a row that was logged under one schema reads under another, so that a device
// whose model comes with other features keeps what it knows of its owner. A feature that both
// define alike keeps its columns; one that only the new schema has takes the value of an absent
// feature.

#include <span>
#include <vector>

#include "rerank/feature_schema.h"

namespace inkling {

class RowTranslation {
 public:
  // kVerification: another version, in which features of the same name mean something else.
  static Result<RowTranslation> create(const FeatureSchema& from, const FeatureSchema& to);

  std::size_t from_width() const { return from_width_; }
  // Reads the first from_width() columns of `row`, which has at least as many.
  std::vector<float> operator()(std::span<const float> row) const;

 private:
  struct Kept {
    std::size_t from, to, width;  // columns
  };
  RowTranslation(std::size_t from_width, std::vector<float> absent)
      : from_width_(from_width), absent_(std::move(absent)) {}

  std::size_t from_width_;
  std::vector<float> absent_;  // a row of absent features
  std::vector<Kept> kept_;
};

}  // namespace inkling
