#include "autograd/data/pictures_ahead.h"

namespace inkling {

namespace {

Result<Bytes> decoded(const PictureSet& set, std::size_t row) {
  Bytes pixels;
  INK_CHECK_OK(set.picture(row, pixels));
  return pixels;
}

}  // namespace

void PicturesAhead::take_next() {
  if (next_.valid()) now_ = next_.get();
}

void PicturesAhead::ask(std::span<const std::size_t> rows) {
  take_next();
  std::vector<std::size_t> wanted;
  for (const std::size_t row : rows) {
    if (row >= set_->kept()) wanted.push_back(row);
  }
  if (wanted.empty()) return;
  next_ = std::async(std::launch::async, [set = set_, wanted = std::move(wanted)] {
    Decoded pictures;
    for (const std::size_t row : wanted) {
      if (!pictures.contains(row)) pictures.emplace(row, decoded(*set, row));
    }
    return pictures;
  });
}

Result<ByteSpan> PicturesAhead::picture(std::size_t row, Bytes& room) {
  if (row < set_->kept()) return set_->picture(row, room);
  if (!now_.contains(row)) take_next();
  const auto found = now_.find(row);
  if (found == now_.end()) return set_->picture(row, room);
  if (!found->second) return tl::unexpected<Error>(found->second.error());
  return ByteSpan(*found->second);
}

}  // namespace inkling
