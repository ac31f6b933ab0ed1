#pragma once
// Fashion-MNIST (Xiao et al., arXiv 1708.07747): 60,000 training and 10,000 test pictures of
// clothes, 28 x 28 grey, ten classes; read where Debian's package installs it.

#include <array>

#include "autograd/data/idx.h"
#include "runtime/base/file.h"

namespace inkling {

inline constexpr std::string_view kFashionMnistFolder = "/usr/share/datasets/fashion-mnist";
inline constexpr std::array<std::string_view, 10> kFashionMnistClasses = {
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal",  "shirt",   "sneaker",  "bag",   "ankle boot"};

enum class DataSplit { kTrain, kTest };

struct LabelledImages {
  Images images;
  Bytes labels;  // one per image, each an index into the classes
};

// kNotFound says which package to install; the errors of idx.h name the file.
Result<LabelledImages> load_fashion_mnist(DataSplit split,
                                          const Path& folder = Path(kFashionMnistFolder));

}  // namespace inkling
