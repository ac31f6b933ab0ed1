#include "autograd/data/picture.h"

#include <png.h>
#include <stb_image_resize.h>
#include <turbojpeg.h>

#include <memory>

namespace inkling {

namespace {

Result<void> expect_few_pixels(std::size_t height, std::size_t width) {
  if (height == 0 || width == 0) return fail(ErrorCode::kCorrupt, "picture: no pixels");
  if (width > kPicturePixelsMax / height) {
    return fail(ErrorCode::kResourceLimit, "picture: ", height, " x ", width, " pixels, limit ",
                kPicturePixelsMax);
  }
  return {};
}

struct DestroyJpeg {
  void operator()(void* handle) const { tjDestroy(handle); }
};

Result<Picture> decode_jpeg(ByteSpan file, std::size_t channels) {
  const std::unique_ptr<void, DestroyJpeg> handle(tjInitDecompress());
  const auto broken = [&] {
    return fail(ErrorCode::kCorrupt, "picture: JPEG: ", tjGetErrorStr2(handle.get()));
  };
  int width = 0, height = 0, subsampling = 0, colors = 0;
  if (tjDecompressHeader3(handle.get(), file.data(), file.size(), &width, &height, &subsampling,
                          &colors) != 0)
    return broken();
  if (channels == 0) channels = colors == TJCS_GRAY ? 1 : 3;
  Picture picture{{static_cast<std::size_t>(height), static_cast<std::size_t>(width), channels},
                  {}};
  INK_CHECK_OK(expect_few_pixels(picture.size.height, picture.size.width));
  picture.pixels.resize(picture.size.bytes());
  if (tjDecompress2(handle.get(), file.data(), file.size(), picture.pixels.data(), width, 0, height,
                    channels == 1 ? TJPF_GRAY : TJPF_RGB, 0) != 0)
    return broken();
  return picture;
}

struct FreePng {
  void operator()(png_image* image) const { png_image_free(image); }
};

Result<Picture> decode_png(ByteSpan file, std::size_t channels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, FreePng> owner(&image);
  const auto broken = [&] {
    return fail(ErrorCode::kCorrupt, "picture: PNG: ", static_cast<const char*>(image.message));
  };
  if (png_image_begin_read_from_memory(&image, file.data(), file.size()) == 0) return broken();
  if (channels == 0) channels = (image.format & PNG_FORMAT_FLAG_COLOR) != 0 ? 3 : 1;
  Picture picture{{image.height, image.width, channels}, {}};
  INK_CHECK_OK(expect_few_pixels(picture.size.height, picture.size.width));
  picture.pixels.resize(picture.size.bytes());
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  if (png_image_finish_read(&image, nullptr, picture.pixels.data(), 0, nullptr) == 0)
    return broken();
  return picture;
}

bool starts_with(ByteSpan file, std::string_view magic) {
  return file.size() >= magic.size() && as_text(file.first(magic.size())) == magic;
}

}  // namespace

Result<Picture> decode_picture(ByteSpan file, std::size_t channels) {
  INK_INVARIANT(channels == 0 || channels == 1 || channels == 3);
  if (starts_with(file, "\xff\xd8\xff")) return decode_jpeg(file, channels);
  if (starts_with(file, "\x89PNG")) return decode_png(file, channels);
  return fail(ErrorCode::kCorrupt, "picture: not a JPEG or PNG file");
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
      out.pixels[i] = static_cast<std::uint8_t>((77 * rgb[0] + 150 * rgb[1] + 29 * rgb[2]) / 256);
    } else {
      for (std::size_t c = 0; c < 3; ++c) out.pixels[3 * i + c] = picture.pixels[i];
    }
  }
  return out;
}

Result<Bytes> encode_png(const Picture& picture) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.size.width);
  image.height = static_cast<png_uint_32>(picture.size.height);
  image.format = picture.size.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
  Bytes out(bytes);
  if (png_image_write_to_memory(&image, out.data(), &bytes, 0, picture.pixels.data(), 0, nullptr) ==
      0)
    return fail(ErrorCode::kIo, "picture: PNG: ", static_cast<const char*>(image.message));
  out.resize(bytes);
  return out;
}

}  // namespace inkling
