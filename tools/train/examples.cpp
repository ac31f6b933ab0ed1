#include "tools/train/examples.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>

#include "tools/npy.h"

namespace inkling::tools {

namespace {

constexpr std::string_view kNumpyMagic = "\x93NUMPY";
constexpr std::string_view kLabelFileStart = "file,label";

std::string head_of(const Path& path) {
  std::array<char, 32> head{};
  std::ifstream in(path, std::ios::binary);
  in.read(head.data(), head.size());
  return {head.data(), static_cast<std::size_t>(in.gcount())};
}

bool is_numpy(const Path& path) { return head_of(path).starts_with(kNumpyMagic); }

// All digits that it takes to read the number back.
std::string digits_of(double value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return {digits.data(), end};
}

Result<double> element(const Tensor& matrix, std::size_t index) {
  switch (matrix.spec().dtype) {
    case DType::kF32:
      return static_cast<double>(matrix.data<float>()[index]);
    case DType::kF64:
      return matrix.data<double>()[index];
    case DType::kI32:
      return static_cast<double>(matrix.data<std::int32_t>()[index]);
    case DType::kI64:
      return static_cast<double>(matrix.data<std::int64_t>()[index]);
    default:
      return fail(ErrorCode::kUnsupported, "npy: elements of type ",
                  dtype_name(matrix.spec().dtype), ", expected f32, f64, i32 or i64");
  }
}

Result<Table> read_numpy(TableSource source) {
  INK_TRY(const Tensor matrix, read_npy(source.path));
  if (matrix.shape().rank() != 2) {
    return fail(ErrorCode::kInvalidArgument, "npy: ", matrix.spec(),
                ", expected a matrix with a row for each example");
  }
  const auto rows = static_cast<std::size_t>(matrix.shape()[0]),
             width = static_cast<std::size_t>(matrix.shape()[1]);
  std::vector<std::string> header, cells(width);
  for (std::size_t i = 0; i < width; ++i) header.push_back(concat(i));
  if (source.label == "label" && width > 0) source.label = header.back();
  INK_TRY(TableBuilder builder, TableBuilder::create(source, header));
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t i = 0; i < width; ++i) {
      INK_TRY(const double value, element(matrix, row * width + i));
      cells[i] = digits_of(value);
    }
    INK_CHECK_OK(builder.add(cells, concat("row ", row)));
  }
  return std::move(builder).finish();
}

}  // namespace

const LabelledRows& Examples::rows() const {
  return std::visit([](const LabelledRows& rows) -> const LabelledRows& { return rows; }, set);
}

std::span<const SkippedPicture> Examples::skipped() const {
  return pictures() ? std::span<const SkippedPicture>(pictures()->skipped)
                    : std::span<const SkippedPicture>();
}

bool is_table_file(const Path& path) {
  if (!std::filesystem::is_regular_file(path)) return false;
  const std::string head = head_of(path);
  return head.starts_with(kNumpyMagic) || is_sqlite_file(as_bytes(head)) ||
         !head.starts_with(kLabelFileStart);
}

Result<void> group_pictures(PictureSet& set, std::string_view how) {
  constexpr std::string_view kPrefix = "prefix:";
  std::size_t length = 0;
  const std::string_view digits = how.substr(std::min(kPrefix.size(), how.size()));
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (!how.starts_with(kPrefix) || !whole || length == 0) {
    return fail(ErrorCode::kInvalidArgument, "--group: got '", how,
                "', expected prefix:N for pictures");
  }
  if (!set.groups.empty())
    return fail(ErrorCode::kInvalidArgument, "--group: the label file says the groups already");
  for (const std::string& name : set.names) {
    const std::string file = Path(name).filename().string();
    if (file.size() < length) {
      return fail(ErrorCode::kInvalidArgument, "--group ", how, ": ", name,
                  ": its name is shorter than that");
    }
    set.groups.push_back(file.substr(0, length));
  }
  return {};
}

Result<Table> read_table_file(TableSource source) {
  if (!is_numpy(source.path)) return read_table(source);
  const std::string place = source.path.string();
  auto table = read_numpy(std::move(source));
  if (!table && table.error().message.find(place) == std::string::npos)
    return fail_within(std::move(table).error(), place);
  return table;
}

}  // namespace inkling::tools
