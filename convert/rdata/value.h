#pragma once
// RValue: a value of the R language, as read from a file: a vector of one kind, or a list of
// values, with attributes ("names", "dim", "levels", "class").
//
// What has no use as data (functions, environments, language) is kept as ROpaque: it says what was
// there. Factors are RIntegers with "levels"; data frames are RLists with "names".

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/base/bytes.h"

namespace inkling {

struct RValue;
struct RAttribute;

inline constexpr std::int32_t kRIntegerNa = INT32_MIN;  // R's NA in RIntegers and RLogicals
bool is_r_na(double value);  // R's NA in RDoubles; a NaN, but not any NaN

struct RNull {};
struct RLogicals {
  std::vector<std::int32_t> values;  // 0, 1 or kRIntegerNa
};
struct RIntegers {
  std::vector<std::int32_t> values;
};
struct RDoubles {
  std::vector<double> values;
};
struct RComplexes {
  std::vector<double> values;  // real and imaginary parts in turn
};
struct RStrings {
  std::vector<std::optional<std::string>> values;  // the file's bytes, mostly UTF-8; NA is nullopt
};
struct RRaw {
  Bytes values;
};
struct RSymbol {
  std::string name;
};
struct RList {  // a list, a pairlist or an expression vector
  std::vector<RValue> values;
};
struct ROpaque {
  std::string what;
};

struct RValue {
  std::variant<RNull, RLogicals, RIntegers, RDoubles, RComplexes, RStrings, RRaw, RSymbol, RList,
               ROpaque>
      data;
  std::vector<RAttribute> attributes;

  std::string_view kind() const;                         // for messages: "list", "double", ...
  const RValue* attribute(std::string_view name) const;  // null when it is not there
  std::vector<std::string> names() const;                // empty without names; NA is ""

  // The member of a list with this name. kNotFound names what is there.
  Result<const RValue*> field(std::string_view name) const;

  // The elements of a list; kInvalidArgument says what else it is.
  Result<std::span<const RValue>> elements() const;

  // Numbers of any numeric vector, NA as NaN; and whole numbers, where NA and fractions are
  // kInvalidArgument.
  Result<std::vector<double>> numbers() const;
  Result<std::vector<std::int64_t>> whole_numbers() const;

  // A matrix's {rows, columns}, checked against the number of elements. Elements are
  // column-major. kInvalidArgument: not a matrix.
  struct Extent {
    std::size_t rows, columns;
  };
  Result<Extent> matrix_extent() const;
};

struct RAttribute {
  std::string name;
  RValue value;
};

}  // namespace inkling
