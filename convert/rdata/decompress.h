#pragma once
// The compression of R's files, told by the magic number: gzip, bzip2, xz or none.
// The bytes are treated as hostile. Errors: kCorrupt, kResourceLimit (more than bytes_max would
// come out, or an xz file asks for more than kXzMemoryMax of working memory).

#include "runtime/base/bytes.h"

namespace inkling {

inline constexpr std::uint64_t kXzMemoryMax = std::uint64_t{128} << 20;

Result<Bytes> decompress(ByteSpan bytes, std::size_t bytes_max);

}  // namespace inkling
