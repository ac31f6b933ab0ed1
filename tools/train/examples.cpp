#include "tools/train/examples.h"

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

Result<Table> read_table_file(TableSource source) {
  if (!is_numpy(source.path)) return read_table(source);
  const std::string place = source.path.string();
  auto table = read_numpy(std::move(source));
  if (!table && table.error().message.find(place) == std::string::npos)
    return fail_within(std::move(table).error(), place);
  return table;
}

}  // namespace inkling::tools
