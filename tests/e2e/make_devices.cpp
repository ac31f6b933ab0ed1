// make_devices OUT COUNT: the first COUNT people of the camera survey as device folders below
// OUT/devices, and OUT/first.ink, a reranking model that knows nothing yet.

#include <charconv>
#include <iostream>
#include <string_view>

#include "rerank/conditional_logit.h"
#include "runtime/model.h"
#include "tools/datasets/camera.h"
#include "tools/device_folder.h"

namespace inkling::tools {
namespace {

Result<void> make_devices(const Path& out, std::size_t count) {
  INK_TRY(ChoiceData data, load_camera());
  if (count < 1 || count > data.people.size()) {
    return fail(ErrorCode::kInvalidArgument, count, " devices, expected 1 to ", data.people.size());
  }
  data.people.resize(count);
  INK_CHECK_OK(record_devices(out, data));
  const std::vector<float> zeros(data.schema.width(), 0.0f);
  INK_TRY(const Model first, conditional_logit_model(data.schema, zeros));
  return save_model(first, out / "first.ink");
}

}  // namespace
}  // namespace inkling::tools

int main(int argc, char** argv) {
  std::size_t count = 0;
  const std::string_view number = argc == 3 ? argv[2] : "";
  std::from_chars(number.data(), number.data() + number.size(), count);
  if (count == 0) {
    std::cerr << "usage: make_devices OUT COUNT\n";
    return 2;
  }
  const auto made = inkling::tools::make_devices(argv[1], count);
  if (!made) std::cerr << "make_devices: " << made.error().message << "\n";
  return made ? 0 : 1;
}
