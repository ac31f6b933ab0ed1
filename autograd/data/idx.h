#pragma once
// The IDX format of the MNIST family: unsigned bytes in one or three dimensions, plain or gzip.
// The bytes are treated as hostile: the header's sizes must be exactly those of the file.
// Errors: kCorrupt (what differs), kResourceLimit (over kIdxBytesMax after decompression).

#include "runtime/base/bytes.h"

namespace inkling {

inline constexpr std::size_t kIdxBytesMax = std::size_t{256} << 20;

struct Images {
  std::size_t count = 0, height = 0, width = 0, channels = 1;
  Bytes pixels;  // u8[count, height, width, channels]

  ByteSpan image(std::size_t index) const {
    const std::size_t bytes = height * width * channels;
    return ByteSpan(pixels).subspan(index * bytes, bytes);
  }
};

Result<Images> parse_idx_images(ByteSpan file);
Result<Bytes> parse_idx_labels(ByteSpan file);  // u8[count]

}  // namespace inkling
