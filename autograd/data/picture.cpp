#include "autograd/data/picture.h"

#include <stb_image.h>
#include <stb_image_resize.h>
#include <stb_image_write.h>

#include <climits>
#include <memory>

namespace inkling {

namespace {

struct FreePixels {
  void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
};

}  // namespace

Result<Picture> decode_picture(ByteSpan file, std::size_t channels) {
  INK_INVARIANT(channels == 0 || channels == 1 || channels == 3);
  if (file.size() > kPictureFileBytesMax) {
    return fail(ErrorCode::kResourceLimit, "picture: ", file.size(), " bytes, limit ",
                kPictureFileBytesMax);
  }
  const int bytes = static_cast<int>(file.size());
  int width = 0, height = 0, own_channels = 0;
  if (stbi_info_from_memory(file.data(), bytes, &width, &height, &own_channels) == 0 || width < 1 ||
      height < 1)
    return fail(ErrorCode::kCorrupt, "picture: not a JPEG, PNG, BMP, GIF or PNM file");
  const auto w = static_cast<std::size_t>(width), h = static_cast<std::size_t>(height);
  if (w > kPicturePixelsMax / h) {
    return fail(ErrorCode::kResourceLimit, "picture: ", h, " x ", w, " pixels, limit ",
                kPicturePixelsMax);
  }
  if (channels == 0) channels = own_channels < 3 ? 1 : 3;
  const std::unique_ptr<stbi_uc, FreePixels> pixels(stbi_load_from_memory(
      file.data(), bytes, &width, &height, &own_channels, static_cast<int>(channels)));
  if (!pixels) return fail(ErrorCode::kCorrupt, "picture: ", stbi_failure_reason());
  const PictureSize size{h, w, channels};
  return Picture{size, Bytes(pixels.get(), pixels.get() + size.bytes())};
}

Picture resize(const Picture& picture, std::size_t height, std::size_t width) {
  Picture out{{height, width, picture.size.channels}, {}};
  out.pixels.resize(out.size.bytes());
  stbir_resize_uint8(picture.pixels.data(), static_cast<int>(picture.size.width),
                     static_cast<int>(picture.size.height), 0, out.pixels.data(),
                     static_cast<int>(width), static_cast<int>(height), 0,
                     static_cast<int>(picture.size.channels));
  return out;
}

Picture with_channels(const Picture& picture, std::size_t channels) {
  if (picture.size.channels == channels) return picture;
  Picture out{{picture.size.height, picture.size.width, channels}, {}};
  out.pixels.resize(out.size.bytes());
  for (std::size_t i = 0; i < picture.size.height * picture.size.width; ++i) {
    if (channels == 1) {
      const std::uint8_t* rgb = picture.pixels.data() + 3 * i;
      out.pixels[i] = static_cast<std::uint8_t>((rgb[0] + rgb[1] + rgb[2] + 1) / 3);
    } else {
      for (std::size_t c = 0; c < 3; ++c) out.pixels[3 * i + c] = picture.pixels[i];
    }
  }
  return out;
}

Result<Bytes> encode_png(const Picture& picture) {
  Bytes out;
  const auto append = [](void* context, void* data, int size) {
    auto& bytes = *static_cast<Bytes*>(context);
    const auto* from = static_cast<const std::uint8_t*>(data);
    bytes.insert(bytes.end(), from, from + size);
  };
  if (stbi_write_png_to_func(
          append, &out, static_cast<int>(picture.size.width), static_cast<int>(picture.size.height),
          static_cast<int>(picture.size.channels), picture.pixels.data(), 0) == 0)
    return fail(ErrorCode::kIo, "picture: could not be written as PNG");
  return out;
}

}  // namespace inkling
