#include "convert/onnx/tensor_reader.h"

#include <onnx/onnx_pb.h>

#include <cstring>
#include <vector>

namespace inkling::onnx_import {

std::optional<DType> dtype_from(std::int64_t element_type) {
  switch (element_type) {
    case onnx::TensorProto::FLOAT:
      return DType::kF32;
    case onnx::TensorProto::DOUBLE:
      return DType::kF64;
    case onnx::TensorProto::INT32:
      return DType::kI32;
    case onnx::TensorProto::INT64:
      return DType::kI64;
    case onnx::TensorProto::UINT8:
      return DType::kU8;
    case onnx::TensorProto::BOOL:
      return DType::kBool;
    case onnx::TensorProto::INT8:
      return DType::kI8;
    case onnx::TensorProto::FLOAT16:
      return DType::kF16;
    case onnx::TensorProto::INT16:
      return DType::kI16;
    case onnx::TensorProto::UINT16:
      return DType::kU16;
    case onnx::TensorProto::UINT32:
      return DType::kU32;
    case onnx::TensorProto::UINT64:
      return DType::kU64;
    case onnx::TensorProto::BFLOAT16:
      return DType::kBF16;
    default:
      return std::nullopt;
  }
}

namespace {

// Elements from raw_data, whose bytes are as ours, or from the typed field, one entry an element.
template <typename T, typename Field>
Result<Tensor> elements(const onnx::TensorProto& proto, const TensorSpec& spec,
                        const Field& field) {
  if (proto.has_raw_data()) {
    if (proto.raw_data().size() != spec.bytes())
      return fail(ErrorCode::kCorrupt, "onnx: tensor '", proto.name(),
                  "': ", proto.raw_data().size(), " bytes, expected ", spec.bytes());
  } else if (static_cast<std::int64_t>(field.size()) != spec.shape.elements()) {
    return fail(ErrorCode::kCorrupt, "onnx: tensor '", proto.name(), "': ", field.size(),
                " elements, expected ", spec.shape.elements());
  }
  Tensor tensor = Tensor::zeros(spec);
  auto* bytes = tensor.view().as<std::byte>();
  if (proto.has_raw_data()) {
    if (spec.bytes() > 0) std::memcpy(bytes, proto.raw_data().data(), spec.bytes());
    return tensor;
  }
  for (int i = 0; i < field.size(); ++i) {
    const auto element = static_cast<T>(field.Get(i));
    std::memcpy(bytes + static_cast<std::size_t>(i) * sizeof(T), &element, sizeof(T));
  }
  return tensor;
}

}  // namespace

Result<Tensor> read_tensor(const onnx::TensorProto& proto) {
  const std::vector<std::int64_t> dims(proto.dims().begin(), proto.dims().end());
  const auto shape = Shape::from(dims);
  if (!shape)
    return fail(ErrorCode::kCorrupt, "onnx: tensor '", proto.name(), "': ", shape.error().message);
  if (proto.data_location() == onnx::TensorProto::EXTERNAL)
    return fail(ErrorCode::kUnsupported, "onnx: tensor '", proto.name(),
                "' lies in an external file");
  const auto dtype = dtype_from(proto.data_type());
  if (!dtype)
    return fail(ErrorCode::kUnsupported, "onnx: tensor '", proto.name(), "' has element type ",
                onnx::TensorProto::DataType_IsValid(proto.data_type())
                    ? onnx::TensorProto::DataType_Name(
                          static_cast<onnx::TensorProto::DataType>(proto.data_type()))
                    : concat(proto.data_type()));
  const TensorSpec spec{*dtype, *shape};
  switch (*dtype) {
    case DType::kF32:
      return elements<float>(proto, spec, proto.float_data());
    case DType::kF64:
      return elements<double>(proto, spec, proto.double_data());
    case DType::kI64:
      return elements<std::int64_t>(proto, spec, proto.int64_data());
    case DType::kU32:
      return elements<std::uint32_t>(proto, spec, proto.uint64_data());
    case DType::kU64:
      return elements<std::uint64_t>(proto, spec, proto.uint64_data());
    case DType::kI32:
      return elements<std::int32_t>(proto, spec, proto.int32_data());
    case DType::kI16:
    case DType::kU16:
    case DType::kF16:
    case DType::kBF16:
      return elements<std::uint16_t>(proto, spec, proto.int32_data());
    case DType::kBool: {
      INK_TRY(Tensor tensor, elements<std::uint8_t>(proto, spec, proto.int32_data()));
      auto* bytes = tensor.view().as<std::uint8_t>();
      for (std::int64_t i = 0; i < shape->elements(); ++i) bytes[i] = bytes[i] != 0;
      return tensor;
    }
    case DType::kU8:
    case DType::kI8:
      return elements<std::uint8_t>(proto, spec, proto.int32_data());
  }
  return fail(ErrorCode::kUnsupported, "onnx: tensor '", proto.name(), "'");
}

}  // namespace inkling::onnx_import
