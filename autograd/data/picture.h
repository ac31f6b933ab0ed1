#pragma once
// Picture: decoded pixels. JPEG and PNG files are told by content and treated as hostile: sizes are
// looked at before anything is allocated.

#include "runtime/base/bytes.h"

namespace inkling {

struct PictureSize {
  std::size_t height = 0, width = 0, channels = 0;  // channels: 1 grey or 3 RGB
  std::size_t bytes() const { return height * width * channels; }
  bool operator==(const PictureSize&) const = default;
};

struct Picture {
  PictureSize size;
  Bytes pixels;  // u8[height, width, channels]
};

inline constexpr std::size_t kPicturePixelsMax = std::size_t{64} << 20;
inline constexpr std::size_t kPictureFileBytesMax = std::size_t{256} << 20;

// The picture with 1 or 3 channels (0: as many as it has); what is transparent stands on
// black. kCorrupt: why it cannot be decoded.
// kResourceLimit: over kPicturePixelsMax.
Result<Picture> decode_picture(ByteSpan file, std::size_t channels);

// Scaled to height x width (not keeping proportions), filtered so that fine patterns do not alias.
Picture resize(const Picture& picture, std::size_t height, std::size_t width);

// The other number of channels: grey is the luma of RGB (ITU-R BT.601), RGB is grey three times.
Picture with_channels(const Picture& picture, std::size_t channels);

// As PNG, for reports.
Result<Bytes> encode_png(const Picture& picture);

}  // namespace inkling
