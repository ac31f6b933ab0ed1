#pragma once
// PictureSet: labelled pictures of one size, decoded and in memory. Those of an IDX file, which are
// small, are scaled when they are asked for.
//
//   a folder per class      DIR/cat/1.jpg, DIR/dog/2.png (classes in the order of their names)
//   a label file            CSV with the header "file,label" or "file,label,group"; files are
//                           relative to it
//   the MNIST family        DIR/train-images-idx3-ubyte.gz and its three companions, gzip or plain
//
// A picture that cannot be decoded is skipped and listed. Everything else that is wrong is an error
// that names the file.

#include <optional>

#include "autograd/data/labelled_rows.h"
#include "autograd/data/picture.h"
#include "runtime/base/file.h"

namespace inkling {

inline constexpr std::size_t kPictureSetBytesMax = std::size_t{4} << 30;

struct SkippedPicture {
  std::string file, reason;
};

struct PictureSet : LabelledRows {
  PictureSize size;    // of every picture
  PictureSize stored;  // as they lie in `pixels`: an IDX file's own size, else `size`
  Bytes pixels;
  std::vector<SkippedPicture> skipped;

  // At `size`: where it lies, or scaled into `room`.
  ByteSpan picture(std::size_t index, Bytes& room) const;
};

struct PictureSource {
  Path path;         // a folder, or a label file
  PictureSize size;  // what every picture is made into; zeros: that of the first picture
  // The classes that labels may name, in their order. Empty: those that are found.
  std::vector<std::string> classes = {};
};

// kNotFound: no such folder or file. kInvalidArgument: a class without pictures, fewer than two
// classes, a label that is not among `classes`. kCorrupt: a label file or IDX file that does not
// parse. kResourceLimit: over kPictureSetBytesMax.
Result<PictureSet> read_pictures(const PictureSource& source);

// What a data folder holds: one set, or "train" and "test" side by side.
struct PictureSets {
  PictureSet train;
  std::optional<PictureSet> test;
};
Result<PictureSets> read_picture_sets(const PictureSource& source);

}  // namespace inkling
