#include "tools/npy.h"

#include <charconv>
#include <cstring>

namespace inkling::tools {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kAlignment = 64;  // of the data, by the format's advice

struct Code {
  std::string_view text;
  DType dtype;
};
constexpr Code kCodes[] = {{"<f4", DType::kF32}, {"<f8", DType::kF64}, {"<f2", DType::kF16},
                           {"<i8", DType::kI64}, {"<i4", DType::kI32}, {"<i2", DType::kI16},
                           {"|i1", DType::kI8},  {"|u1", DType::kU8},  {"<u2", DType::kU16},
                           {"<u4", DType::kU32}, {"<u8", DType::kU64}, {"|b1", DType::kBool}};

tl::unexpected<Error> corrupt(const auto&... parts) {
  return fail(ErrorCode::kCorrupt, "npy: ", parts...);
}

// What stands behind "'key':" in the header, a Python dictionary; empty when the key is not there.
std::string_view after_key(std::string_view header, std::string_view key) {
  const std::size_t at = header.find(concat("'", key, "':"));
  if (at == std::string_view::npos) return {};
  const std::string_view rest = header.substr(at + key.size() + 3);
  return rest.substr(std::min(rest.find_first_not_of(' '), rest.size()));
}

Result<DType> dtype_of(std::string_view header) {
  const std::string_view value = after_key(header, "descr");
  if (value.size() < 2 || value[0] != '\'') return corrupt("no element type");
  const std::string_view code = value.substr(1, value.find('\'', 1) - 1);
  for (const Code& known : kCodes) {
    if (code == known.text) return known.dtype;
  }
  return fail(ErrorCode::kUnsupported, "npy: element type '", code.substr(0, 16), "'");
}

Result<Shape> shape_of(std::string_view header) {
  std::string_view value = after_key(header, "shape");
  const std::size_t close = value.find(')');
  if (value.empty() || value[0] != '(' || close == std::string_view::npos)
    return corrupt("no shape");
  value = value.substr(1, close - 1);
  std::vector<std::int64_t> dims;
  const char* at = value.data();
  const char* end = at + value.size();
  while (at < end) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    const auto [next, error] = std::from_chars(at, end, dims.emplace_back());
    if (error != std::errc()) return corrupt("a shape that is not a list of sizes");
    at = next;
  }
  auto shape = Shape::from(dims);
  if (!shape) return fail(shape.error().code, "npy: ", shape.error().message);
  return shape;
}

}  // namespace

Result<Tensor> decode_npy(ByteSpan bytes) {
  ByteReader reader(bytes);
  if (as_text(reader.raw(kMagic.size())) != kMagic) return corrupt("not a .npy file");
  const std::uint8_t major = reader.u8();
  reader.u8();
  if (major != 1 && major != 2) return fail(ErrorCode::kUnsupported, "npy: version ", int{major});
  std::size_t header_bytes = reader.u8();
  header_bytes += std::size_t{256} * reader.u8();
  if (major == 2) {
    header_bytes += std::size_t{1 << 16} * reader.u8();
    header_bytes += std::size_t{1 << 24} * reader.u8();
  }
  const std::string_view header = as_text(reader.raw(header_bytes));
  if (header.size() != header_bytes) return corrupt("the file ends inside its header");
  INK_TRY(const DType dtype, dtype_of(header));
  INK_TRY(const Shape shape, shape_of(header));
  if (after_key(header, "fortran_order").substr(0, 5) != "False")
    return fail(ErrorCode::kUnsupported, "npy: elements in column-major order");
  const TensorSpec spec{dtype, shape};
  const std::size_t start = kMagic.size() + 2 + (major == 1 ? 2 : 4) + header_bytes;
  if (bytes.size() < start || bytes.size() - start != spec.bytes())
    return corrupt(bytes.size() - std::min(start, bytes.size()), " bytes of elements, expected ",
                   spec.bytes());
  Tensor tensor = Tensor::zeros(spec);
  if (spec.bytes() > 0) std::memcpy(tensor.view().data, bytes.data() + start, spec.bytes());
  if (dtype == DType::kBool) {
    for (std::int64_t i = 0; i < shape.elements(); ++i) {
      if (tensor.view().as<std::uint8_t>()[i] > 1) return corrupt("a bool that is neither 0 nor 1");
    }
  }
  return tensor;
}

Result<Bytes> encode_npy(const TensorView& tensor) {
  const Code* code = nullptr;
  for (const Code& known : kCodes) {
    if (known.dtype == tensor.spec.dtype) code = &known;
  }
  if (!code)
    return fail(ErrorCode::kUnsupported, "npy: no element type for ",
                dtype_name(tensor.spec.dtype));
  std::string dims;
  for (const std::int64_t size : tensor.spec.shape.dims()) dims += concat(size, ", ");
  std::string header =
      concat("{'descr': '", code->text, "', 'fortran_order': False, 'shape': (", dims, "), }");
  const std::size_t before = kMagic.size() + 4;
  header.append(kAlignment - 1 - (before + header.size()) % kAlignment, ' ');
  header += '\n';
  ByteWriter writer;
  writer.text(kMagic);
  writer.u8(1);
  writer.u8(0);
  writer.u8(static_cast<std::uint8_t>(header.size() % 256));
  writer.u8(static_cast<std::uint8_t>(header.size() / 256));
  writer.text(header);
  writer.raw({tensor.as<const std::uint8_t>(), tensor.spec.bytes()});
  return writer.take();
}

Result<Tensor> read_npy(const Path& path) {
  INK_TRY(const Bytes bytes, read_file(path));
  auto tensor = decode_npy(bytes);
  if (!tensor) return fail_within(std::move(tensor).error(), path.string());
  return tensor;
}

}  // namespace inkling::tools
