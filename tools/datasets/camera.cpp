#include "tools/datasets/camera.h"

#include <algorithm>
#include <array>

#include "tools/datasets/r_package.h"

namespace inkling {

namespace {

constexpr std::array<const char*, 10> kColumns = {"canon", "sony",  "nikon",  "panasonic", "pixels",
                                                  "zoom",  "video", "swivel", "wifi",      "price"};
constexpr std::size_t kRows = kCameraTasks * kCameraAlternatives;
constexpr std::int64_t kTaskMs = 60'000;

Result<FeatureSchema> camera_schema() {
  std::vector<FeatureSpec> features;
  for (const char* name : kColumns) features.push_back({.name = name});
  features.push_back({.name = "is_none", .kind = FeatureKind::kIsNone});
  return FeatureSchema::create(1, std::move(features));
}

Result<void> check_columns(const RValue& x) {
  const RValue* dimnames = x.attribute("dimnames");
  if (dimnames == nullptr) return fail(ErrorCode::kInvalidArgument, "X has no column names");
  INK_TRY(const auto names, dimnames->elements());
  const auto* columns = names.size() == 2 ? std::get_if<RStrings>(&names[1].data) : nullptr;
  if (columns == nullptr ||
      !std::equal(columns->values.begin(), columns->values.end(), kColumns.begin(), kColumns.end()))
    return fail(ErrorCode::kInvalidArgument, "X has other columns than canon to price");
  return {};
}

// x is f64[80, 10], column-major.
Candidate alternative(std::span<const double> x, std::size_t row) {
  Candidate candidate{.item = row + 1, .is_none = (row + 1) % kCameraAlternatives == 0};
  if (candidate.is_none) return candidate;
  for (std::size_t column = 0; column < kColumns.size(); ++column)
    candidate.features.push_back({.name = kColumns[column], .value = x[column * kRows + row]});
  return candidate;
}

bool none_rows_are_zero(std::span<const double> x) {
  for (std::size_t i = 0; i < x.size(); ++i)
    if ((i % kRows + 1) % kCameraAlternatives == 0 && x[i] != 0) return false;
  return true;
}

Result<Person> read_person(const RValue& value, UserId user) {
  INK_TRY(const RValue* y, value.field("y"));
  INK_TRY(const RValue* x, value.field("X"));
  INK_TRY(const std::vector<std::int64_t> choices, y->whole_numbers());
  INK_TRY(const RValue::Extent extent, x->matrix_extent());
  INK_TRY(const std::vector<double> features, x->numbers());
  INK_CHECK_OK(check_columns(*x));
  if (choices.size() != kCameraTasks || extent.rows != kRows) {
    return fail(ErrorCode::kInvalidArgument, choices.size(), " choices among ", extent.rows,
                " rows, expected ", kCameraTasks, " among ", kRows);
  }
  if (!none_rows_are_zero(features))
    return fail(ErrorCode::kInvalidArgument, "the fifth alternative is not \"none\"");
  Person person{.user = user};
  for (std::size_t task = 0; task < kCameraTasks; ++task) {
    const std::int64_t choice = choices[task];
    if (choice < 1 || choice > static_cast<std::int64_t>(kCameraAlternatives)) {
      return fail(ErrorCode::kInvalidArgument, "choice ", choice, " in task ", task + 1,
                  ", expected 1 to ", kCameraAlternatives);
    }
    Slate slate{.user = user,
                .request = task + 1,
                .time_ms = static_cast<std::int64_t>(task + 1) * kTaskMs,
                .chosen = {static_cast<std::size_t>(choice - 1)}};
    for (std::size_t i = 0; i < kCameraAlternatives; ++i)
      slate.candidates.push_back(alternative(features, task * kCameraAlternatives + i));
    (task < kCameraTrainTasks ? person.train : person.test).push_back(std::move(slate));
  }
  return person;
}

}  // namespace

Result<ChoiceData> load_camera(const Path& file) {
  INK_TRY(const RValue camera, read_packaged("camera", "r-cran-bayesm", file));
  const auto people = camera.elements();
  if (!people) return fail_within(people.error(), "camera: ", file.string());
  INK_TRY(FeatureSchema schema, camera_schema());
  ChoiceData data{.schema = std::move(schema)};
  for (const RValue& value : *people) {
    const UserId user = data.people.size() + 1;
    auto person = read_person(value, user);
    if (!person)
      return fail_within(std::move(person).error(), "camera: ", file.string(), ": person ", user);
    data.people.push_back(*std::move(person));
  }
  return data;
}

}  // namespace inkling
