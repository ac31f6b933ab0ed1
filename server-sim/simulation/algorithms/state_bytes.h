#pragma once
// Two states of an algorithm as one.

#include <utility>

#include "runtime/base/bytes.h"

namespace inkling {

inline Bytes join_states(ByteSpan first, ByteSpan second) {
  ByteWriter writer;
  writer.u64(first.size());
  writer.raw(first);
  writer.raw(second);
  return writer.take();
}

inline Result<std::pair<ByteSpan, ByteSpan>> split_states(ByteSpan bytes) {
  ByteReader reader(bytes);
  const std::uint64_t size = reader.u64();
  if (size > reader.remaining())
    return fail(ErrorCode::kCorrupt, "checkpoint: a state of ", bytes.size(), " bytes");
  const ByteSpan first = reader.raw(size);
  return std::pair(first, reader.raw(reader.remaining()));
}

}  // namespace inkling
