#pragma once
// PictureSet: labelled pictures of one size. As many as PictureSource::kept_bytes_max allows are
// kept decoded; files behind them are decoded again, to the same bits, whenever they are asked for.
// Those of an IDX file, which are small, are all kept and scaled when they are asked for.
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
#include "runtime/base/sha256.h"

namespace inkling {

inline constexpr std::size_t kKeptPictureBytes = 512'000'000;

struct SkippedPicture {
  std::string file, reason;
};

// A picture that is not kept: where it lies, and what was in the file when it was first read.
struct PictureFile {
  Path path;
  Sha256Digest digest;
};

struct PictureSet : LabelledRows {
  PictureSize size;                // of every picture
  PictureSize stored;              // as they lie in `pixels`: an IDX file's own size, else `size`
  Bytes pixels;                    // of the first kept() pictures
  std::vector<PictureFile> files;  // of the others
  std::size_t decoding_bytes = 0;  // the most that decoding one of `files` takes meanwhile
  std::vector<SkippedPicture> skipped;

  std::size_t kept() const { return count() - files.size(); }

  // At `size`: where it lies, or decoded or scaled into `room`. Threads may ask at the same time,
  // with a room each. For pictures of `files`, kNotFound or kIo: as read_file; kFailedPrecondition:
  // the file is not what it was.
  Result<ByteSpan> picture(std::size_t index, Bytes& room) const;
};

struct PictureSource {
  Path path;         // a folder, or a label file
  PictureSize size;  // what every picture is made into; zeros: that of the first picture
  // The classes that labels may name, in their order. Empty: those that are found.
  std::vector<std::string> classes = {};
  std::size_t kept_bytes_max = kKeptPictureBytes;  // of decoded files, of all sets that are read
};

// kNotFound: no such folder or file. kInvalidArgument: a class without pictures, fewer than two
// classes, a label that is not among `classes`. kCorrupt: a label file or IDX file that does not
// parse. kResourceLimit: pictures of more than kPicturePixelsMax.
Result<PictureSet> read_pictures(const PictureSource& source);

// What a data folder holds: one set, or "train" and "test" side by side.
struct PictureSets {
  PictureSet train;
  std::optional<PictureSet> test;
};
Result<PictureSets> read_picture_sets(const PictureSource& source);

}  // namespace inkling
