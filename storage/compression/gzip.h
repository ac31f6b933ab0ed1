#pragma once
// Gzip (RFC 1952): whole buffers, with a cap on what comes out. The bytes are treated as hostile.

#include "runtime/base/bytes.h"

namespace inkling {

bool is_gzip(ByteSpan bytes);  // by the magic number

// Expands one or more members, to their end. Errors: kCorrupt (bad data, a short file, trailing
// bytes), kResourceLimit (more than bytes_max would come out; at most that much is ever held).
Result<Bytes> gunzip(ByteSpan bytes, std::size_t bytes_max);

// The same for a zlib stream (RFC 1950) of one member.
Result<Bytes> inflate_zlib(ByteSpan bytes, std::size_t bytes_max);

}  // namespace inkling
