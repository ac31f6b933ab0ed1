#include "tools/datasets/student_ratings.h"

#include <algorithm>

#include "convert/rdata/lazy_data.h"

namespace inkling {

namespace {

constexpr std::array<const char*, kStudentRatingAttributes> kAttributes = {
    "d", "studage", "lectage", "service", "dept"};

struct Factor {
  std::vector<std::int64_t> codes{};  // 1..levels
  std::size_t levels = 0;
};

Result<Factor> read_factor(const RValue& table, std::string_view name) {
  INK_TRY(const RValue* column, table.field(name));
  const RValue* levels = column->attribute("levels");
  const auto* texts = levels == nullptr ? nullptr : std::get_if<RStrings>(&levels->data);
  if (texts == nullptr)
    return fail(ErrorCode::kInvalidArgument, name, ": ", column->kind(), ", expected a factor");
  Factor factor{.levels = texts->values.size()};
  INK_TRY(factor.codes, column->whole_numbers());
  const auto wrong = std::find_if(factor.codes.begin(), factor.codes.end(), [&](std::int64_t code) {
    return code < 1 || code > static_cast<std::int64_t>(factor.levels);
  });
  if (wrong != factor.codes.end())
    return fail(ErrorCode::kInvalidArgument, name, ": level ", *wrong, " of ", factor.levels);
  return factor;
}

Result<StudentRatings> read_ratings(const RValue& table) {
  INK_TRY(const Factor students, read_factor(table, "s"));
  INK_TRY(const RValue* y, table.field("y"));
  INK_TRY(const std::vector<std::int64_t> values, y->whole_numbers());
  StudentRatings data{.students = students.levels};
  data.ratings.resize(values.size());
  for (std::size_t i = 0; i < kAttributes.size(); ++i) {
    INK_TRY(const Factor factor, read_factor(table, kAttributes[i]));
    if (factor.codes.size() != values.size() || students.codes.size() != values.size()) {
      return fail(ErrorCode::kInvalidArgument, "columns of ", factor.codes.size(), ", ",
                  students.codes.size(), " and ", values.size(), " rows");
    }
    for (std::size_t row = 0; row < values.size(); ++row) {
      data.ratings[row].columns[i] =
          static_cast<std::uint32_t>(data.width + static_cast<std::size_t>(factor.codes[row] - 1));
    }
    data.width += factor.levels;
  }
  for (std::size_t row = 0; row < values.size(); ++row) {
    if (values[row] < 1 || values[row] > kStudentRatingMax) {
      return fail(ErrorCode::kInvalidArgument, "row ", row + 1, ": rating ", values[row],
                  ", expected 1 to ", kStudentRatingMax);
    }
    data.ratings[row].student = static_cast<std::uint32_t>(students.codes[row] - 1);
    data.ratings[row].value = static_cast<std::uint32_t>(values[row]);
  }
  std::stable_sort(
      data.ratings.begin(), data.ratings.end(),
      [](const StudentRating& a, const StudentRating& b) { return a.student < b.student; });
  return data;
}

}  // namespace

Result<StudentRatings> load_student_ratings(const Path& stem) {
  auto table = read_lazy_data(stem, "InstEval");
  if (!table && table.error().code == ErrorCode::kNotFound) {
    return fail(ErrorCode::kNotFound, "student ratings: ", table.error().message,
                ": apt install r-cran-lme4");
  }
  if (!table) return fail_within(std::move(table).error(), "student ratings");
  auto data = read_ratings(*table);
  if (!data) return fail_within(std::move(data).error(), "student ratings: ", stem.string());
  return data;
}

}  // namespace inkling
