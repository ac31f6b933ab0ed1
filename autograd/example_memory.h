#pragma once
// ExampleMemory: labelled examples of a stream in bounded memory. Its room is taken once, at
// creation, and never grows.
//
// Until it is full it keeps everything. Then classes are balanced, whatever the stream looks like
// (Chrysakis & Moens, "Online Continual Learning from Imbalanced Streams", ICML 2020): an example
// of a class that has never been among the largest takes the place of a random one of the largest
// class; one of a class that has been takes the place of a random one of its own class with
// probability kept / seen, so that each class keeps a uniform sample of what came (Vitter,
// "Random Sampling with a Reservoir", ACM TOMS 1985). The same stream and seed keep the same.

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/tensor.h"

namespace inkling {

class ExampleMemory {
 public:
  // Room for `examples` of `width` floats.
  ExampleMemory(std::size_t examples, std::size_t width, std::uint32_t classes, std::uint64_t seed);

  void add(std::span<const float> example, std::uint32_t label);
  void clear();  // as new, with another draw of the same seed

  std::size_t count() const { return labels_.size(); }
  std::uint64_t seen() const { return seen_; }
  std::span<const float> example(std::size_t index) const;
  std::uint32_t label(std::size_t index) const { return labels_[index]; }
  std::size_t bytes() const { return values_.spec().bytes(); }  // of the examples

 private:
  std::size_t random_of(std::uint32_t label);  // an index
  void put(std::size_t index, std::span<const float> example, std::uint32_t label);

  struct Class {
    std::uint64_t seen = 0, kept = 0;
    bool was_largest = false;
  };
  std::size_t room_, width_;
  std::uint64_t seed_, seen_ = 0, cleared_ = 0;
  Tensor values_;
  std::vector<std::uint32_t> labels_;
  std::vector<Class> classes_;
  Rng rng_;
};

}  // namespace inkling
