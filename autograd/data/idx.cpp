#include "autograd/data/idx.h"

#include "storage/compression/gzip.h"

namespace inkling {

namespace {

constexpr std::uint8_t kUnsignedByte = 0x08;

struct Array {
  std::vector<std::size_t> sizes;
  Bytes values;
};

// Two zero bytes, the element type, the number of dimensions; then big-endian sizes and elements.
Result<Array> parse(ByteSpan file, std::size_t dimensions) {
  Bytes unpacked;
  if (is_gzip(file)) {
    INK_TRY(unpacked, gunzip(file, kIdxBytesMax));
    file = unpacked;
  }
  if (file.size() > kIdxBytesMax) {
    return fail(ErrorCode::kResourceLimit, "IDX: ", file.size(), " bytes, limit ", kIdxBytesMax);
  }
  const std::size_t header = 4 + 4 * dimensions;
  if (file.size() < header)
    return fail(ErrorCode::kCorrupt, "IDX: ", file.size(), " bytes, expected a header of ", header);
  if (file[0] != 0 || file[1] != 0 || file[2] != kUnsignedByte || file[3] != dimensions) {
    return fail(ErrorCode::kCorrupt, "IDX: starts with ", to_hex(file.first(4)),
                ", expected unsigned bytes in ", dimensions, " dimension(s)");
  }
  Array array;
  std::size_t total = 1;
  for (std::size_t d = 0; d < dimensions; ++d) {
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8 | file[4 + 4 * d + i];
    array.sizes.push_back(size);
    if (__builtin_mul_overflow(total, size, &total))
      return fail(ErrorCode::kCorrupt, "IDX: dimension ", d, " is ", size, ": too large");
  }
  const ByteSpan values = file.subspan(header);
  if (values.size() != total) {
    return fail(ErrorCode::kCorrupt, "IDX: ", values.size(), " elements, the header says ", total);
  }
  array.values.assign(values.begin(), values.end());
  return array;
}

}  // namespace

Result<Images> parse_idx_images(ByteSpan file) {
  INK_TRY(Array array, parse(file, 3));
  return Images{.count = array.sizes[0],
                .height = array.sizes[1],
                .width = array.sizes[2],
                .channels = 1,
                .pixels = std::move(array.values)};
}

Result<Bytes> parse_idx_labels(ByteSpan file) {
  INK_TRY(Array array, parse(file, 1));
  return std::move(array.values);
}

}  // namespace inkling
