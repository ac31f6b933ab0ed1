#include "storage/compression/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

namespace inkling {

namespace {

constexpr int kGzipWindow = 15 + 16;  // zlib's way to say: gzip header and trailer
constexpr int kZlibWindow = 15;
constexpr std::size_t kChunkBytes = 1 << 16;

class Inflater {
 public:
  explicit Inflater(int window) { ready_ = inflateInit2(&stream_, window) == Z_OK; }
  ~Inflater() {
    if (ready_) inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Expands one member from the front of `bytes`, which is left at what follows it.
  Result<void> member(ByteSpan& bytes, Bytes& out, std::size_t bytes_max) {
    if (!ready_ || inflateReset(&stream_) != Z_OK)
      return fail(ErrorCode::kResourceLimit, "inflate: no memory");
    std::array<std::uint8_t, kChunkBytes> chunk;
    int rc = Z_OK;
    while (rc != Z_STREAM_END) {
      const std::size_t fed = std::min<std::size_t>(bytes.size(), 1u << 30);
      stream_.next_in = const_cast<Bytef*>(bytes.data());
      stream_.avail_in = static_cast<uInt>(fed);
      stream_.next_out = chunk.data();
      stream_.avail_out = static_cast<uInt>(chunk.size());
      rc = inflate(&stream_, Z_NO_FLUSH);
      bytes = bytes.subspan(fed - stream_.avail_in);
      const std::size_t made = chunk.size() - stream_.avail_out;
      if (rc != Z_OK && rc != Z_STREAM_END) {
        return fail(ErrorCode::kCorrupt,
                    "inflate: ", rc == Z_BUF_ERROR ? "the data end too early" : "bad data",
                    " after ", out.size() + made, " bytes");
      }
      if (made > bytes_max - out.size())
        return fail(ErrorCode::kResourceLimit, "inflate: over the limit of ", bytes_max, " bytes");
      out.insert(out.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(made));
    }
    return {};
  }

 private:
  z_stream stream_{};
  bool ready_ = false;
};

}  // namespace

bool is_gzip(ByteSpan bytes) { return bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b; }

Result<Bytes> gunzip(ByteSpan bytes, std::size_t bytes_max) {
  Inflater inflater(kGzipWindow);
  Bytes out;
  do {
    INK_CHECK_OK(inflater.member(bytes, out, bytes_max));
  } while (!bytes.empty());
  return out;
}

Result<Bytes> inflate_zlib(ByteSpan bytes, std::size_t bytes_max) {
  Inflater inflater(kZlibWindow);
  Bytes out;
  INK_CHECK_OK(inflater.member(bytes, out, bytes_max));
  if (!bytes.empty())
    return fail(ErrorCode::kCorrupt, "inflate: ", bytes.size(), " trailing bytes");
  return out;
}

}  // namespace inkling
