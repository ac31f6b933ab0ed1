#include "autograd/data/picture_set.h"

#include <algorithm>
#include <map>
#include <set>

#include "autograd/data/csv.h"
#include "autograd/data/fashion_mnist.h"
#include "autograd/data/idx.h"

namespace inkling {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLabelFileBytesMax = std::size_t{64} << 20;

// A picture on disk and what it shows.
struct Entry {
  Path file;
  std::string name, label, group;
};

bool is_picture_name(const Path& path) {
  static const std::set<std::string> kEndings = {".jpg", ".jpeg", ".png", ".bmp",
                                                 ".gif", ".ppm",  ".pgm", ".pnm"};
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return kEndings.contains(ending);
}

Result<std::vector<Path>> sorted_children(const Path& folder) {
  std::error_code error;
  std::vector<Path> children;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with(".")) continue;
    children.push_back(it->path());
  }
  if (error) return fail(ErrorCode::kNotFound, folder.string(), ": ", error.message());
  std::sort(children.begin(), children.end());
  return children;
}

Result<std::vector<Entry>> folder_entries(const Path& folder) {
  INK_TRY(const auto children, sorted_children(folder));
  std::vector<Entry> entries;
  for (const Path& child : children) {
    if (!fs::is_directory(child)) continue;
    const std::string label = child.filename().string();
    const std::size_t before = entries.size();
    INK_TRY(const auto files, sorted_children(child));
    for (const Path& file : files) {
      if (is_picture_name(file))
        entries.push_back({file, (Path(label) / file.filename()).string(), label, {}});
    }
    if (entries.size() == before) {
      return fail(ErrorCode::kInvalidArgument, child.string(), ": class '", label,
                  "' has no pictures");
    }
  }
  if (entries.empty()) {
    return fail(ErrorCode::kInvalidArgument, folder.string(),
                ": no pictures found, expected a folder per class");
  }
  return entries;
}

Result<std::vector<Entry>> label_file_entries(const Path& path) {
  INK_TRY(const Bytes bytes, read_file(path, kLabelFileBytesMax));
  CsvReader reader(as_text(bytes));
  std::vector<Entry> entries;
  std::vector<std::string> cells;
  std::size_t columns = 0;
  while (true) {
    const auto more = reader.next(cells);
    if (!more) return fail_within(more.error(), path.string());
    if (!*more) break;
    if (columns == 0) {
      columns = cells.size();
      const bool plain = cells == std::vector<std::string>{"file", "label"};
      if (plain || cells == std::vector<std::string>{"file", "label", "group"}) continue;
      return fail(ErrorCode::kCorrupt, path.string(), ": line ", reader.line(),
                  ": expected the header file,label or file,label,group");
    }
    if (cells.size() != columns || cells[0].empty() || cells[1].empty()) {
      return fail(ErrorCode::kCorrupt, path.string(), ": line ", reader.line(), ": ", cells.size(),
                  " cells, expected ", columns, " with a file and a label");
    }
    entries.push_back({path.parent_path() / cells[0], cells[0], cells[1],
                       columns == 3 ? cells[2] : std::string()});
  }
  if (entries.empty()) return fail(ErrorCode::kCorrupt, path.string(), ": no pictures listed");
  return entries;
}

Result<void> expect_classes(const PictureSet& set, const Path& path) {
  if (set.classes.size() < 2) {
    return fail(ErrorCode::kInvalidArgument, path.string(), ": ", set.classes.size(),
                " class, expected at least two");
  }
  return {};
}

Result<std::map<std::string, std::uint32_t>> number_classes(PictureSet& set,
                                                            std::span<const Entry> entries,
                                                            const PictureSource& source) {
  set.classes = source.classes;
  if (set.classes.empty()) {
    std::set<std::string> found;
    for (const Entry& entry : entries) found.insert(entry.label);
    set.classes.assign(found.begin(), found.end());
  }
  INK_CHECK_OK(expect_classes(set, source.path));
  std::map<std::string, std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < set.classes.size(); ++i) numbers[set.classes[i]] = i;
  for (const Entry& entry : entries) {
    if (!numbers.contains(entry.label)) {
      return fail(ErrorCode::kInvalidArgument, source.path.string(), ": ", entry.name, ": label '",
                  entry.label, "' is not one of the ", numbers.size(), " classes");
    }
  }
  return numbers;
}

Result<void> expect_room(const PictureSize& size, const Path& path) {
  if (size.height > kPicturePixelsMax / std::max<std::size_t>(size.width, 1)) {
    return fail(ErrorCode::kResourceLimit, path.string(), ": pictures of ", size.height, " x ",
                size.width, " have more than the limit of ", kPicturePixelsMax, " pixels");
  }
  return {};
}

Picture fit(const Picture& picture, const PictureSize& size) {
  const Picture same = with_channels(picture, size.channels);
  return same.size == size ? same : resize(same, size.height, size.width);
}

// What decoding and fitting a file holds at most: the file, its pixels as decoded, with other
// channels and as fitted.
std::size_t decoding_bytes(std::size_t file, const PictureSize& found, const PictureSize& fitted) {
  return file + 2 * 3 * found.height * found.width + fitted.bytes();
}

Result<Bytes> decode_again(const PictureFile& file, const PictureSize& size) {
  INK_TRY(const Bytes bytes, read_file(file.path, kPictureFileBytesMax));
  if (sha256(bytes) != file.digest) {
    return fail(ErrorCode::kFailedPrecondition, file.path.string(),
                ": changed since it was first read");
  }
  auto picture = decode_picture(bytes, size.channels);
  if (!picture) return fail_within(std::move(picture).error(), file.path.string());
  return fit(*picture, size).pixels;
}

// The size that is asked for, with what is left open taken from a picture.
PictureSize chosen_size(PictureSize asked, const PictureSize& found) {
  if (asked.height == 0) asked.height = found.height;
  if (asked.width == 0) asked.width = found.width;
  if (asked.channels == 0) asked.channels = found.channels;
  return asked;
}

Result<PictureSet> decode_entries(std::span<const Entry> entries, const PictureSource& source) {
  PictureSet set;
  set.size = source.size;
  INK_TRY(const auto numbers, number_classes(set, entries, source));
  std::vector<std::size_t> per_class(set.classes.size());
  std::size_t kept_max = 0;
  for (const Entry& entry : entries) {
    INK_TRY(const Bytes bytes, read_file(entry.file, kPictureFileBytesMax));
    const auto picture = decode_picture(bytes, set.size.channels);
    if (!picture) {
      set.skipped.push_back({entry.name, picture.error().message});
      continue;
    }
    if (set.labels.empty()) {
      set.size = set.stored = chosen_size(source.size, picture->size);
      INK_CHECK_OK(expect_room(set.size, source.path));
      kept_max = std::min(entries.size(), source.kept_bytes_max / set.size.bytes());
      set.pixels.reserve(kept_max * set.size.bytes());
    }
    if (set.count() < kept_max) {
      const Picture fitted = fit(*picture, set.size);
      set.pixels.insert(set.pixels.end(), fitted.pixels.begin(), fitted.pixels.end());
    } else {
      set.files.push_back({entry.file, sha256(bytes)});
      set.decoding_bytes =
          std::max(set.decoding_bytes, decoding_bytes(bytes.size(), picture->size, set.size));
    }
    set.labels.push_back(numbers.at(entry.label));
    set.names.push_back(entry.name);
    if (!entry.group.empty()) set.groups.push_back(entry.group);
    ++per_class[set.labels.back()];
  }
  if (!set.groups.empty() && set.groups.size() != set.count()) {
    return fail(ErrorCode::kCorrupt, source.path.string(), ": only ", set.groups.size(), " of ",
                set.count(), " pictures have a group");
  }
  for (std::size_t c = 0; c < per_class.size() && source.classes.empty(); ++c) {
    if (per_class[c] > 0) continue;
    return fail(ErrorCode::kInvalidArgument, source.path.string(), ": class '", set.classes[c],
                "' has no readable picture; the first: ", set.skipped.front().file, ": ",
                set.skipped.front().reason);
  }
  return set;
}

// "train-images-idx3-ubyte" with or without ".gz"; empty when neither is there.
Path idx_file(const Path& folder, const std::string& stem) {
  for (const char* ending : {".gz", ""}) {
    const Path path = folder / (stem + ending);
    if (fs::exists(path)) return path;
  }
  return {};
}

Result<PictureSet> read_idx(const PictureSource& source, const char* prefix) {
  const Path images_path = idx_file(source.path, concat(prefix, "-images-idx3-ubyte")),
             labels_path = idx_file(source.path, concat(prefix, "-labels-idx1-ubyte"));
  if (images_path.empty() || labels_path.empty()) {
    return fail(ErrorCode::kNotFound, source.path.string(), ": no ", prefix,
                "-images-idx3-ubyte and ", prefix, "-labels-idx1-ubyte");
  }
  INK_TRY(const Bytes images_bytes, read_file(images_path, kIdxBytesMax));
  INK_TRY(const Bytes labels_bytes, read_file(labels_path, kIdxBytesMax));
  auto images = parse_idx_images(images_bytes);
  if (!images) return fail_within(std::move(images).error(), images_path.string());
  const auto labels = parse_idx_labels(labels_bytes);
  if (!labels) return fail_within(labels.error(), labels_path.string());
  if (images->count != labels->size() || images->count == 0) {
    return fail(ErrorCode::kCorrupt, images_path.string(), ": ", images->count, " pictures, but ",
                labels->size(), " labels");
  }
  PictureSet set;
  set.stored = {images->height, images->width, images->channels};
  set.size = chosen_size(source.size, set.stored);
  const std::size_t largest = *std::max_element(labels->begin(), labels->end());
  set.classes = source.classes;
  if (set.classes.empty() && source.path == Path(kFashionMnistFolder))
    set.classes.assign(kFashionMnistClasses.begin(), kFashionMnistClasses.end());
  for (std::size_t c = set.classes.size(); c <= largest && source.classes.empty(); ++c)
    set.classes.push_back(concat(c));
  INK_CHECK_OK(expect_classes(set, source.path));
  if (largest >= set.classes.size()) {
    return fail(ErrorCode::kInvalidArgument, labels_path.string(), ": label ", largest,
                " is not one of the ", set.classes.size(), " classes");
  }
  set.labels.assign(labels->begin(), labels->end());
  for (std::size_t i = 0; i < images->count; ++i) set.names.push_back(concat(prefix, " ", i));
  set.pixels = std::move(images->pixels);
  return set;
}

bool is_idx_folder(const Path& folder) {
  return !idx_file(folder, "train-images-idx3-ubyte").empty();
}

}  // namespace

Result<ByteSpan> PictureSet::picture(std::size_t index, Bytes& room) const {
  if (index >= kept()) {
    INK_TRY(room, decode_again(files[index - kept()], size));
    return ByteSpan(room);
  }
  const ByteSpan own = ByteSpan(pixels).subspan(index * stored.bytes(), stored.bytes());
  if (stored == size) return own;
  room = fit({stored, Bytes(own.begin(), own.end())}, size).pixels;
  return ByteSpan(room);
}

Result<PictureSet> read_pictures(const PictureSource& source) {
  if (!fs::exists(source.path)) {
    return fail(
        ErrorCode::kNotFound, source.path.string(), ": no such folder or label file",
        source.path == Path(kFashionMnistFolder) ? ": apt install dataset-fashion-mnist" : "");
  }
  if (!fs::is_directory(source.path)) {
    INK_TRY(const auto entries, label_file_entries(source.path));
    return decode_entries(entries, source);
  }
  if (is_idx_folder(source.path)) return read_idx(source, "train");
  INK_TRY(const auto entries, folder_entries(source.path));
  return decode_entries(entries, source);
}

Result<PictureSets> read_picture_sets(const PictureSource& source) {
  PictureSets sets;
  PictureSource test = source;
  if (is_idx_folder(source.path)) {
    INK_TRY(sets.train, read_idx(source, "train"));
    test.size = sets.train.size;
    test.classes = sets.train.classes;
    if (idx_file(source.path, "t10k-images-idx3-ubyte").empty()) return sets;
    INK_TRY(sets.test, read_idx(test, "t10k"));
    return sets;
  }
  const bool both =
      fs::is_directory(source.path / "train") && fs::is_directory(source.path / "test");
  PictureSource train = source;
  if (both) train.path = source.path / "train";
  INK_TRY(sets.train, read_pictures(train));
  if (!both) return sets;
  test.path = source.path / "test";
  test.size = sets.train.size;
  test.classes = sets.train.classes;
  test.kept_bytes_max -= std::min(test.kept_bytes_max, sets.train.pixels.size());
  INK_TRY(sets.test, read_pictures(test));
  return sets;
}

}  // namespace inkling
