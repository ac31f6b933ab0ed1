#include "autograd/data/fashion_mnist.h"

#include <algorithm>

namespace inkling {

namespace {

template <typename Parse>
auto load(const Path& file, const Parse& parse) -> decltype(parse(ByteSpan())) {
  const auto bytes = read_file(file, kIdxBytesMax);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kNotFound, "fashion-mnist: ", file.string(),
                " is missing: apt install dataset-fashion-mnist");
  }
  if (!bytes) return fail_within(bytes.error(), "fashion-mnist");
  auto parsed = parse(*bytes);
  if (!parsed) return fail_within(parsed.error(), "fashion-mnist: ", file.string());
  return parsed;
}

}  // namespace

Result<LabelledImages> load_fashion_mnist(DataSplit split, const Path& folder) {
  const char* prefix = split == DataSplit::kTrain ? "train" : "t10k";
  LabelledImages data;
  INK_TRY(data.images, load(folder / concat(prefix, "-images-idx3-ubyte.gz"), parse_idx_images));
  INK_TRY(data.labels, load(folder / concat(prefix, "-labels-idx1-ubyte.gz"), parse_idx_labels));
  if (data.images.count != data.labels.size()) {
    return fail(ErrorCode::kCorrupt, "fashion-mnist: ", data.images.count, " images, but ",
                data.labels.size(), " labels");
  }
  const auto strange = std::find_if(data.labels.begin(), data.labels.end(), [](std::uint8_t label) {
    return label >= kFashionMnistClasses.size();
  });
  if (strange != data.labels.end()) {
    return fail(ErrorCode::kCorrupt, "fashion-mnist: label ", int{*strange}, ", expected below ",
                kFashionMnistClasses.size());
  }
  return data;
}

}  // namespace inkling
