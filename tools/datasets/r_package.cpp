#include "tools/datasets/r_package.h"

namespace inkling {

Result<RValue> read_packaged(std::string_view object, std::string_view package, const Path& file) {
  auto objects = read_rdata(file);
  if (!objects && objects.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kNotFound, object, ": ", file.string(), " is missing: apt install ",
                package);
  }
  if (!objects) return fail_within(std::move(objects).error(), object);
  const auto found = objects->field(object);
  if (!found) return fail_within(found.error(), object, ": ", file.string());
  return **found;
}

}  // namespace inkling
