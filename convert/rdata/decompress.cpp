#include "convert/rdata/decompress.h"

#include <bzlib.h>
#include <lzma.h>

#include <algorithm>
#include <array>

#include "storage/compression/gzip.h"

namespace inkling {

namespace {

constexpr std::size_t kChunkBytes = 1 << 16;
using Chunk = std::array<std::uint8_t, kChunkBytes>;

Result<void> append(Bytes& out, const Chunk& chunk, std::size_t made, std::size_t bytes_max,
                    const char* format) {
  if (made > bytes_max - out.size())
    return fail(ErrorCode::kResourceLimit, format, ": over the limit of ", bytes_max, " bytes");
  out.insert(out.end(), chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(made));
  return {};
}

Result<Bytes> unxz(ByteSpan bytes, std::size_t bytes_max) {
  lzma_stream stream = LZMA_STREAM_INIT;
  struct End {
    lzma_stream* stream;
    ~End() { lzma_end(stream); }
  } const end{&stream};
  if (lzma_stream_decoder(&stream, kXzMemoryMax, 0) != LZMA_OK)
    return fail(ErrorCode::kResourceLimit, "xz: no memory");
  stream.next_in = bytes.data();
  stream.avail_in = bytes.size();
  Bytes out;
  Chunk chunk;
  lzma_ret rc = LZMA_OK;
  while (rc != LZMA_STREAM_END) {
    stream.next_out = chunk.data();
    stream.avail_out = chunk.size();
    rc = lzma_code(&stream, LZMA_FINISH);
    INK_CHECK_OK(append(out, chunk, chunk.size() - stream.avail_out, bytes_max, "xz"));
    if (rc == LZMA_MEMLIMIT_ERROR)
      return fail(ErrorCode::kResourceLimit, "xz: wants ", lzma_memusage(&stream),
                  " bytes of working memory, limit ", kXzMemoryMax);
    if (rc != LZMA_OK && rc != LZMA_STREAM_END)
      return fail(ErrorCode::kCorrupt, "xz: bad or short data after ", out.size(), " bytes");
  }
  if (stream.avail_in != 0)
    return fail(ErrorCode::kCorrupt, "xz: ", stream.avail_in, " trailing bytes");
  return out;
}

Result<Bytes> unbzip2(ByteSpan bytes, std::size_t bytes_max) {
  constexpr std::size_t kInputMax = 1u << 30;
  if (bytes.size() > kInputMax)
    return fail(ErrorCode::kResourceLimit, "bzip2: ", bytes.size(), " bytes, limit ", kInputMax);
  bz_stream stream{};
  if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK)
    return fail(ErrorCode::kResourceLimit, "bzip2: no memory");
  struct End {
    bz_stream* stream;
    ~End() { BZ2_bzDecompressEnd(stream); }
  } const end{&stream};
  stream.next_in = const_cast<char*>(as_text(bytes).data());
  stream.avail_in = static_cast<unsigned>(bytes.size());
  Bytes out;
  Chunk chunk;
  int rc = BZ_OK;
  while (rc != BZ_STREAM_END) {
    stream.next_out = reinterpret_cast<char*>(chunk.data());
    stream.avail_out = static_cast<unsigned>(chunk.size());
    rc = BZ2_bzDecompress(&stream);
    const std::size_t made = chunk.size() - stream.avail_out;
    INK_CHECK_OK(append(out, chunk, made, bytes_max, "bzip2"));
    const bool starved = rc == BZ_OK && stream.avail_in == 0 && made == 0;
    if ((rc != BZ_OK && rc != BZ_STREAM_END) || starved)
      return fail(ErrorCode::kCorrupt, "bzip2: bad or short data after ", out.size(), " bytes");
  }
  if (stream.avail_in != 0)
    return fail(ErrorCode::kCorrupt, "bzip2: ", stream.avail_in, " trailing bytes");
  return out;
}

}  // namespace

Result<Bytes> decompress(ByteSpan bytes, std::size_t bytes_max) {
  const std::string_view text = as_text(bytes);
  if (is_gzip(bytes)) return gunzip(bytes, bytes_max);
  if (text.starts_with(std::string_view("\xfd"
                                        "7zXZ\0",
                                        6)))
    return unxz(bytes, bytes_max);
  if (text.starts_with("BZh")) return unbzip2(bytes, bytes_max);
  if (bytes.size() > bytes_max) {
    return fail(ErrorCode::kResourceLimit, "plain file: ", bytes.size(), " bytes, limit ",
                bytes_max);
  }
  return Bytes(bytes.begin(), bytes.end());
}

}  // namespace inkling
