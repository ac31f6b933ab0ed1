#include "embed/probation.h"

namespace inkling {

namespace {

constexpr std::string_view kKey = "rerank/probation";  // u64: uses that did not end

}  // namespace

Result<void> Probation::write(std::uint64_t crashes) {
  ByteWriter out;
  out.u64(crashes);
  return store_->supersede(kKey, out.bytes());
}

Result<void> Probation::load() {
  crashes_.reset();
  const auto bytes = store_->get(kKey);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound) return {};
  // A damaged count is no reason to withdraw anything.
  crashes_ = bytes && bytes->size() == 8 ? ByteReader(*bytes).u64() : 0;
  return {};
}

Result<void> Probation::begin() {
  INK_CHECK_OK(write(0));
  crashes_ = 0;
  return {};
}

Result<void> Probation::enter() { return crashes_ ? write(*crashes_ + 1) : Result<void>(); }

Result<void> Probation::leave(bool proven) {
  if (!crashes_) return {};
  if (!proven) return write(*crashes_);
  INK_CHECK_OK(store_->erase(kKey));
  crashes_.reset();
  return {};
}

}  // namespace inkling
