#pragma once
// PicturesAhead: decodes the pictures that the next step takes on another thread, while this step
// computes. Pictures that the set keeps are given from there. Holds those of two steps at most;
// used by one thread; the set outlives it.

#include <future>
#include <map>
#include <span>

#include "autograd/data/picture_set.h"

namespace inkling {

class PicturesAhead {
 public:
  explicit PicturesAhead(const PictureSet& set) : set_(&set) {}

  // Begins to decode those of `rows` that the set does not keep. Asking again waits for what was
  // asked for before.
  void ask(std::span<const std::size_t> rows);

  // As PictureSet::picture, with the same bits whether it was asked for or not. Valid until the
  // next call of either.
  Result<ByteSpan> picture(std::size_t row, Bytes& room);

 private:
  using Decoded = std::map<std::size_t, Result<Bytes>>;
  void take_next();

  const PictureSet* set_;
  Decoded now_;
  std::future<Decoded> next_;
};

}  // namespace inkling
