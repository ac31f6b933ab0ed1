#include "convert/onnx/importer.h"

#include <cstring>

namespace inkling::onnx_import {

const Imported* Importer::find(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? nullptr : &found->second;
}

std::string NodeReader::where() const {
  const std::string name = !node_.name().empty()     ? node_.name()
                           : node_.output_size() > 0 ? node_.output(0)
                                                     : "";
  return concat("node '", name, "' (", node_.op_type(), ")");
}

Result<const Imported*> NodeReader::input(std::size_t i) const {
  if (!has(i)) return corrupt("input ", i, " is missing");
  const Imported* value = importer_.find(node_.input(static_cast<int>(i)));
  if (!value)
    return corrupt("input '", node_.input(static_cast<int>(i)), "' is not defined before it");
  return value;
}

Result<ValueId> NodeReader::tensor(std::size_t i) const {
  INK_TRY(const Imported* value, input(i));
  if (value->tensor == kNoValue)
    return unsupported("input ", i, " holds integers, expected floats");
  return value->tensor;
}

Result<std::vector<std::int64_t>> NodeReader::integers(std::size_t i) const {
  INK_TRY(const Imported* value, input(i));
  if (!value->integers) return unsupported("input ", i, " must be integers known while importing");
  return value->integers->values;
}

Result<const Tensor*> NodeReader::constant(std::size_t i) const {
  INK_TRY(const ValueId id, tensor(i));
  const Value& value = importer_.graph.value(id);
  if (value.kind != ValueKind::kConstant || value.spec.dtype != DType::kF32)
    return unsupported("input ", i, " must be a constant");
  return value.tensor.get();
}

Result<double> NodeReader::number(std::size_t i) const {
  INK_TRY(const Tensor* tensor, constant(i));
  if (tensor->shape().elements() != 1)
    return unsupported("input ", i, " is ", tensor->spec(), ", expected one number");
  return tensor->data<float>()[0];
}

const onnx::AttributeProto* NodeReader::attribute(const char* name) const {
  for (const auto& attribute : node_.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

std::int64_t NodeReader::integer_attribute(const char* name, std::int64_t fallback) const {
  const auto* found = attribute(name);
  return found ? found->i() : fallback;
}

double NodeReader::real_attribute(const char* name, double fallback) const {
  const auto* found = attribute(name);
  return found ? static_cast<double>(found->f()) : fallback;
}

std::string NodeReader::text_attribute(const char* name, const char* fallback) const {
  const auto* found = attribute(name);
  return found ? found->s() : fallback;
}

std::vector<std::int64_t> NodeReader::integers_attribute(const char* name) const {
  const auto* found = attribute(name);
  return found ? std::vector<std::int64_t>(found->ints().begin(), found->ints().end())
               : std::vector<std::int64_t>();
}

Result<std::size_t> NodeReader::axis(std::int64_t axis, std::size_t rank) const {
  const auto size = static_cast<std::int64_t>(rank);
  if (axis < -size || axis >= size) return corrupt("axis ", axis, " of a tensor of rank ", rank);
  return static_cast<std::size_t>(axis < 0 ? axis + size : axis);
}

Result<std::vector<std::int64_t>> NodeReader::axes(std::size_t i, std::size_t rank) const {
  std::vector<std::int64_t> axes = integers_attribute("axes");
  if (has(i)) {
    INK_TRY(axes, integers(i));
  }
  for (std::int64_t& value : axes) {
    INK_TRY(const std::size_t checked, axis(value, rank));
    value = static_cast<std::int64_t>(checked);
  }
  return axes;
}

Result<void> NodeReader::yield(ValueId value) {
  if (const auto& status = graph().status(); !status) return corrupt(status.error().message);
  if (node_.output_size() < 1) return corrupt("no output");
  graph().label(value, node_.output(0));
  importer_.define(node_.output(0), {value, std::nullopt});
  return {};
}

Result<void> NodeReader::yield(Integers integers) {
  if (node_.output_size() < 1) return corrupt("no output");
  importer_.define(node_.output(0), {kNoValue, std::move(integers)});
  return {};
}

Result<Shape> shape_from(std::span<const std::int64_t> dims) {
  auto shape = Shape::from(dims);
  if (!shape) return fail(ErrorCode::kCorrupt, "onnx: ", shape.error().message);
  return shape;
}

namespace {

// The elements of a tensor, from raw_data or from the typed field.
template <typename T, typename Field>
Result<std::vector<T>> elements(const onnx::TensorProto& proto, const Field& field,
                                std::int64_t count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  if (proto.has_raw_data()) {
    if (proto.raw_data().size() != values.size() * sizeof(T)) {
      return fail(ErrorCode::kCorrupt, "onnx: tensor '", proto.name(),
                  "': ", proto.raw_data().size(), " bytes, expected ", values.size() * sizeof(T));
    }
    if (!values.empty())
      std::memcpy(values.data(), proto.raw_data().data(), proto.raw_data().size());
    return values;
  }
  if (static_cast<std::int64_t>(field.size()) != count) {
    return fail(ErrorCode::kCorrupt, "onnx: tensor '", proto.name(), "': ", field.size(),
                " elements, expected ", count);
  }
  std::copy(field.begin(), field.end(), values.begin());
  return values;
}

// So that a few bytes that claim a huge shape cannot make us allocate it.
std::int64_t stored_elements(const onnx::TensorProto& proto) {
  return static_cast<std::int64_t>(proto.raw_data().size()) + proto.float_data_size() +
         proto.int32_data_size() + proto.int64_data_size() + proto.double_data_size();
}

Result<Imported> integer_tensor(Shape shape, std::vector<std::int64_t> values,
                                const onnx::TensorProto& proto) {
  if (shape.rank() > 1)
    return fail(ErrorCode::kUnsupported, "onnx: tensor '", proto.name(), "': integers of rank ",
                shape.rank());
  return Imported{kNoValue, Integers{shape, std::move(values)}};
}

}  // namespace

Result<Imported> import_tensor(const onnx::TensorProto& proto, Graph& graph) {
  const std::vector<std::int64_t> dims(proto.dims().begin(), proto.dims().end());
  INK_TRY(const Shape shape, shape_from(dims));
  const std::int64_t count = shape.elements();
  if (proto.data_location() == onnx::TensorProto::EXTERNAL) {
    return fail(ErrorCode::kUnsupported, "onnx: tensor '", proto.name(),
                "' lies in an external file");
  }
  if (count > stored_elements(proto)) {
    return fail(ErrorCode::kCorrupt, "onnx: tensor '", proto.name(), "' claims ", count,
                " elements and does not hold them");
  }
  switch (proto.data_type()) {
    case onnx::TensorProto::FLOAT: {
      INK_TRY(const auto values, elements<float>(proto, proto.float_data(), count));
      return Imported{graph.constant(Tensor::from<float>(shape, values)), std::nullopt};
    }
    case onnx::TensorProto::DOUBLE: {
      INK_TRY(const auto values, elements<double>(proto, proto.double_data(), count));
      const std::vector<float> rounded(values.begin(), values.end());
      return Imported{graph.constant(Tensor::from<float>(shape, rounded)), std::nullopt};
    }
    case onnx::TensorProto::INT64: {
      INK_TRY(auto values, elements<std::int64_t>(proto, proto.int64_data(), count));
      return integer_tensor(shape, std::move(values), proto);
    }
    case onnx::TensorProto::INT32: {
      INK_TRY(const auto values, elements<std::int32_t>(proto, proto.int32_data(), count));
      return integer_tensor(shape, {values.begin(), values.end()}, proto);
    }
    default:
      return fail(ErrorCode::kUnsupported, "onnx: tensor '", proto.name(), "' has element type ",
                  proto.data_type());
  }
}

}  // namespace inkling::onnx_import
