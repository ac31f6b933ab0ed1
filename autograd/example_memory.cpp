#include "autograd/example_memory.h"

#include <algorithm>

namespace inkling {

ExampleMemory::ExampleMemory(std::size_t examples, std::size_t width, std::uint32_t classes,
                             std::uint64_t seed)
    : room_(examples),
      width_(width),
      seed_(seed),
      values_(Tensor::zeros({DType::kF32, Shape{static_cast<std::int64_t>(examples),
                                                static_cast<std::int64_t>(width)}})),
      classes_(classes),
      rng_(seed, "examples") {
  labels_.reserve(examples);
}

std::span<const float> ExampleMemory::example(std::size_t index) const {
  return values_.data<float>().subspan(index * width_, width_);
}

std::size_t ExampleMemory::random_of(std::uint32_t label) {
  std::uint64_t left = rng_.below(classes_[label].kept);
  for (std::size_t i = 0;; ++i) {
    if (labels_[i] == label && left-- == 0) return i;
  }
}

void ExampleMemory::put(std::size_t index, std::span<const float> example, std::uint32_t label) {
  std::copy(example.begin(), example.end(),
            values_.mutable_data<float>().begin() + static_cast<std::ptrdiff_t>(index * width_));
  labels_[index] = label;
}

void ExampleMemory::add(std::span<const float> example, std::uint32_t label) {
  INK_INVARIANT(example.size() == width_ && label < classes_.size());
  Class& own = classes_[label];
  ++seen_;
  ++own.seen;
  if (count() < room_) {
    ++own.kept;
    labels_.push_back(label);
    put(count() - 1, example, label);
    return;
  }
  std::uint64_t most = 0;
  for (const Class& each : classes_) most = std::max(most, each.kept);
  for (Class& each : classes_) each.was_largest = each.was_largest || each.kept == most;
  if (own.was_largest) {
    if (rng_.below(own.seen) < own.kept) put(random_of(label), example, label);
    return;
  }
  const auto largest = std::find_if(classes_.begin(), classes_.end(),
                                    [&](const Class& each) { return each.kept == most; });
  put(random_of(static_cast<std::uint32_t>(largest - classes_.begin())), example, label);
  --largest->kept;
  ++own.kept;
}

void ExampleMemory::clear() {
  labels_.clear();
  std::fill(classes_.begin(), classes_.end(), Class{});
  std::fill(values_.mutable_data<float>().begin(), values_.mutable_data<float>().end(), 0.0f);
  seen_ = 0;
  rng_ = Rng(seed_, "examples", ++cleared_);
}

}  // namespace inkling
