#include "convert/rdata/lazy_data.h"

#include "storage/compression/gzip.h"

namespace inkling {

namespace {

constexpr std::size_t kLengthBytes = 4;  // big-endian, in front of each compressed object

// Where the object lies: whole numbers {offset, length} in the index.
Result<ByteSpan> locate(const RValue& index, std::string_view object, ByteSpan bytes) {
  INK_TRY(const RValue* variables, index.field("variables"));
  INK_TRY(const RValue* place, variables->field(object));
  INK_TRY(const std::vector<std::int64_t> range, place->whole_numbers());
  const auto size = static_cast<std::int64_t>(bytes.size());
  if (range.size() != 2 || range[0] < 0 || range[1] < static_cast<std::int64_t>(kLengthBytes) ||
      range[0] > size || range[1] > size - range[0]) {
    return fail(ErrorCode::kCorrupt, object, ": the index points outside the ", size,
                " bytes of data");
  }
  return bytes.subspan(static_cast<std::size_t>(range[0]), static_cast<std::size_t>(range[1]));
}

Result<Bytes> expand(ByteSpan packed, const RLimits& limits) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) length = length << 8 | packed[i];
  if (length > limits.file_bytes_max) {
    return fail(ErrorCode::kResourceLimit, "R data: an object of ", length, " bytes, limit ",
                limits.file_bytes_max);
  }
  INK_TRY(Bytes bytes, inflate_zlib(packed.subspan(kLengthBytes), length));
  if (bytes.size() != length) {
    return fail(ErrorCode::kCorrupt, "R data: an object of ", bytes.size(), " bytes, expected ",
                length);
  }
  return bytes;
}

Result<RValue> read_object(const RValue& index, std::string_view object, ByteSpan database,
                           const RLimits& limits) {
  INK_TRY(const ByteSpan packed, locate(index, object, database));
  INK_TRY(const Bytes bytes, expand(packed, limits));
  return parse_rdata(bytes, limits);
}

}  // namespace

Result<RValue> read_lazy_data(const Path& stem, std::string_view object, const RLimits& limits) {
  const Path index_file = concat(stem.string(), ".rdx"), data_file = concat(stem.string(), ".rdb");
  INK_TRY(const RValue index, read_rdata(index_file, limits));
  INK_TRY(const Bytes database, read_file(data_file, limits.file_bytes_max));
  auto value = read_object(index, object, database, limits);
  if (!value) return fail_within(std::move(value).error(), data_file.string());
  return value;
}

}  // namespace inkling
