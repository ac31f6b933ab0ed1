// The model file: with its digest made to fit, so that the structure behind it is reached, and as
// it is.

#include <algorithm>

#include "runtime/base/sha256.h"
#include "runtime/model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace inkling;
  constexpr std::size_t kDigestOffset = 40;  // docs/model-format.md
  Bytes file(data, data + size);
  (void)decode_model(file, nullptr);
  if (file.size() >= kDigestOffset + sizeof(Sha256Digest)) {
    const auto digest_at = file.begin() + kDigestOffset;
    std::fill_n(digest_at, sizeof(Sha256Digest), std::uint8_t{0});
    const Sha256Digest digest = sha256(file);
    std::copy(digest.begin(), digest.end(), digest_at);
    (void)decode_model(file, nullptr);
  }
  return 0;
}
