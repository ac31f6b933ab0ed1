#include "convert/rdata/value.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace inkling {

namespace {

constexpr std::uint32_t kNaLowWord = 1954;        // R marks its NA in a NaN's payload
constexpr double kWholeMax = 9007199254740992.0;  // 2^53: beyond it doubles skip whole numbers
constexpr std::size_t kNamesInMessage = 8;

std::size_t element_count(const RValue& value) {
  return std::visit(
      [](const auto& data) -> std::size_t {
        if constexpr (requires { data.values.size(); }) return data.values.size();
        return 0;
      },
      value.data);
}

double as_number(std::int32_t v) {
  return v == kRIntegerNa ? std::numeric_limits<double>::quiet_NaN() : v;
}

}  // namespace

bool is_r_na(double value) {
  return std::isnan(value) &&
         static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(value)) == kNaLowWord;
}

std::string_view RValue::kind() const {
  constexpr std::array<std::string_view, 10> kNames = {"NULL",    "logical",   "integer", "double",
                                                       "complex", "character", "raw",     "symbol",
                                                       "list",    "opaque"};
  static_assert(std::variant_size_v<decltype(data)> == kNames.size());
  return kNames[data.index()];
}

const RValue* RValue::attribute(std::string_view name) const {
  const auto found = std::find_if(attributes.begin(), attributes.end(),
                                  [&](const RAttribute& a) { return a.name == name; });
  return found == attributes.end() ? nullptr : &found->value;
}

std::vector<std::string> RValue::names() const {
  const RValue* names = attribute("names");
  const auto* strings = names == nullptr ? nullptr : std::get_if<RStrings>(&names->data);
  std::vector<std::string> out;
  if (strings == nullptr) return out;
  for (const auto& name : strings->values) out.push_back(name.value_or(""));
  return out;
}

Result<const RValue*> RValue::field(std::string_view name) const {
  INK_TRY(const auto members, elements());
  const std::vector<std::string> all = names();
  for (std::size_t i = 0; i < std::min(all.size(), members.size()); ++i)
    if (all[i] == name) return &members[i];
  std::string there;
  for (std::size_t i = 0; i < std::min(all.size(), kNamesInMessage); ++i)
    there += concat(i == 0 ? "" : ", ", all[i]);
  return fail(ErrorCode::kNotFound, "R list: no member ", name, ", it has ",
              there.empty() ? "no names" : there, all.size() > kNamesInMessage ? ", ..." : "");
}

Result<std::span<const RValue>> RValue::elements() const {
  const auto* list = std::get_if<RList>(&data);
  if (list == nullptr)
    return fail(ErrorCode::kInvalidArgument, "R value: ", kind(), ", expected a list");
  return std::span<const RValue>(list->values);
}

Result<std::vector<double>> RValue::numbers() const {
  if (const auto* doubles = std::get_if<RDoubles>(&data)) return doubles->values;
  std::vector<double> out;
  if (const auto* integers = std::get_if<RIntegers>(&data)) {
    std::transform(integers->values.begin(), integers->values.end(), std::back_inserter(out),
                   as_number);
    return out;
  }
  if (const auto* logicals = std::get_if<RLogicals>(&data)) {
    std::transform(logicals->values.begin(), logicals->values.end(), std::back_inserter(out),
                   as_number);
    return out;
  }
  return fail(ErrorCode::kInvalidArgument, "R value: ", kind(), ", expected numbers");
}

Result<std::vector<std::int64_t>> RValue::whole_numbers() const {
  INK_TRY(const std::vector<double> values, numbers());
  std::vector<std::int64_t> out;
  out.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!(std::abs(values[i]) <= kWholeMax) || values[i] != std::trunc(values[i])) {
      return fail(ErrorCode::kInvalidArgument, "R value: element ", i, " is ", values[i],
                  ", expected a whole number");
    }
    out.push_back(static_cast<std::int64_t>(values[i]));
  }
  return out;
}

Result<RValue::Extent> RValue::matrix_extent() const {
  const RValue* dim = attribute("dim");
  if (dim == nullptr)
    return fail(ErrorCode::kInvalidArgument, "R value: ", kind(),
                " without dim, expected a matrix");
  INK_TRY(const std::vector<std::int64_t> sizes, dim->whole_numbers());
  const std::size_t count = element_count(*this);
  if (sizes.size() != 2 || sizes[0] < 0 || sizes[1] < 0)
    return fail(ErrorCode::kInvalidArgument, "R value: ", sizes.size(),
                " dimensions, expected a matrix");
  std::size_t product = 0;
  const Extent extent{static_cast<std::size_t>(sizes[0]), static_cast<std::size_t>(sizes[1])};
  if (__builtin_mul_overflow(extent.rows, extent.columns, &product) || product != count) {
    return fail(ErrorCode::kInvalidArgument, "R matrix: dim ", extent.rows, " x ", extent.columns,
                " with ", count, " elements");
  }
  return extent;
}

}  // namespace inkling
