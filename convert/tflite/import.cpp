#include "convert/tflite/import.h"

#include <algorithm>
#include <limits>

#include "convert/tflite/importer.h"
#include "runtime/passes/passes.h"

namespace inkling::tflite_import {

namespace {

constexpr std::size_t kIdentifierAt = 4;
constexpr std::string_view kIdentifier = "TFL3";
constexpr flatbuffers::uoffset_t kTablesMax = 1'000'000, kDepthMax = 64;
// A few bytes must not make us work for hours: subgraphs call subgraphs.
constexpr std::size_t kOperatorsRunMax = 200'000, kCallsDeepMax = 16;

std::string text(const flatbuffers::String* string) {
  return string == nullptr ? std::string() : string->str();
}

const HandlerRow* find_handler(std::int32_t code, const std::string& name) {
  for (const auto rows :
       {arithmetic_handlers(), control_handlers(), convolution_handlers(), shape_handlers()}) {
    for (const HandlerRow& row : rows) {
      if (row.code == code && (code != kCustom || row.name == name)) return &row;
    }
  }
  return nullptr;
}

struct Bounds {
  double low, high;
};

Bounds bounds_of(DType dtype) {
  switch (dtype) {
    case DType::kI8:
      return {-128, 127};
    case DType::kU8:
      return {0, 255};
    case DType::kI16:
      return {-32768, 32767};
    default:
      return {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
  }
}

// x / scale + zero_point, rounded, within the integers of the type: still a float.
Result<ValueId> to_steps(Graph& g, ValueId x, const tflite::Tensor& tensor, const Quantization& q) {
  if (q.scales.size() != 1 || q.scales[0] <= 0)
    return fail(ErrorCode::kUnsupported,
                "tflite: activations with a scale for each channel, or of 0");
  INK_TRY(const DType dtype, dtype_of(tensor));
  const auto [low, high] = bounds_of(dtype);
  const double zero = static_cast<double>(q.zero_points[0]);
  return clamp(g, shift(g, round(g, scale(g, x, 1.0 / static_cast<double>(q.scales[0]))), zero),
               low, high);
}

ValueId from_steps(Graph& g, ValueId steps, const Quantization& q) {
  return scale(g, shift(g, steps, -static_cast<double>(q.zero_points[0])),
               static_cast<double>(q.scales[0]));
}

Result<void> add_input(Importer& importer, std::int32_t index,
                       const std::map<std::string, Shape>& shapes) {
  INK_TRY(const tflite::Tensor* tensor, importer.tensor(index));
  const std::string name = text(tensor->name());
  INK_TRY(Shape shape, shape_of(*tensor));
  if (const auto found = shapes.find(name); found != shapes.end()) shape = found->second;
  INK_TRY(const DType dtype, dtype_of(*tensor));
  INK_TRY(const auto quantization, quantization_of(*tensor));
  Graph& g = importer.graph;
  ValueId value = g.input(name, {dtype, shape});
  if (dtype == DType::kF16 || quantization) value = cast(g, value, DType::kF32);
  if (quantization) value = from_steps(g, value, *quantization);
  INK_CHECK_OK(g.status());
  return importer.define(index, value);
}

Result<void> add_output(Importer& importer, std::int32_t index) {
  INK_TRY(const tflite::Tensor* tensor, importer.tensor(index));
  INK_TRY(ValueId value, importer.value(index));
  INK_TRY(const DType dtype, dtype_of(*tensor));
  INK_TRY(const auto quantization, quantization_of(*tensor));
  Graph& g = importer.graph;
  if (quantization) {
    INK_TRY(value, to_steps(g, value, *tensor, *quantization));
  }
  if (g.spec(value).dtype != dtype) value = cast(g, value, dtype);
  g.output(text(tensor->name()), value);
  return g.status();
}

template <typename Table>
bool is_present(const flatbuffers::Vector<flatbuffers::Offset<Table>>* vector) {
  return vector != nullptr &&
         std::all_of(vector->begin(), vector->end(), [](const auto* entry) { return entry; });
}

// The subgraph, with everything in it that the importer follows.
Result<const tflite::SubGraph*> find_subgraph(const tflite::Model& model, std::int32_t index) {
  if (index < 0 || static_cast<std::uint32_t>(index) >= model.subgraphs()->size())
    return fail(ErrorCode::kCorrupt, "tflite: subgraph ", index, " of ", model.subgraphs()->size());
  const auto* found = model.subgraphs()->Get(static_cast<flatbuffers::uoffset_t>(index));
  if (!is_present(found->tensors()) || !is_present(found->operators()) ||
      found->inputs() == nullptr || found->outputs() == nullptr)
    return fail(ErrorCode::kCorrupt, "tflite: parts of subgraph ", index, " are missing");
  return found;
}

}  // namespace

Result<void> Importer::run() {
  const tflite::Model& model = file_.model;
  for (flatbuffers::uoffset_t i = 0; i < subgraph_.operators()->size(); ++i) {
    const tflite::Operator& op = *subgraph_.operators()->Get(i);
    if (op.opcode_index() >= model.operator_codes()->size())
      return fail(ErrorCode::kCorrupt, "tflite: operator ", i, " has no code");
    const tflite::OperatorCode& code = *model.operator_codes()->Get(op.opcode_index());
    const std::int32_t builtin =
        std::max<std::int32_t>(code.deprecated_builtin_code(), code.builtin_code());
    const std::string custom = text(code.custom_code());
    const HandlerRow* handler = find_handler(builtin, custom);
    if (handler == nullptr) {
      return fail(
          ErrorCode::kUnsupported, "tflite: operator ", i, ": ",
          builtin == kCustom ? concat("custom op '", custom, "'") : concat("builtin op ", builtin),
          " is not supported");
    }
    if (++file_.operators_run > kOperatorsRunMax)
      return fail(ErrorCode::kResourceLimit, "tflite: branches come to more than ",
                  kOperatorsRunMax, " operators");
    OpReader reader(*this, op, concat("operator ", i, " (", handler->name, ")"));
    INK_CHECK_OK(handler->import(reader));
    if (!graph.status())
      return fail_within(graph.status().error(),
                         concat("tflite: operator ", i, " (", handler->name, ")"));
  }
  return {};
}

Result<std::vector<ValueId>> Importer::call(std::int32_t subgraph,
                                            std::span<const ValueId> inputs) {
  if (depth_ >= kCallsDeepMax)
    return fail(ErrorCode::kResourceLimit, "tflite: subgraphs nest deeper than ", kCallsDeepMax);
  INK_TRY(const tflite::SubGraph* called, find_subgraph(file_.model, subgraph));
  if (called->inputs()->size() != inputs.size())
    return fail(ErrorCode::kCorrupt, "tflite: subgraph ", subgraph, " takes ",
                called->inputs()->size(), " inputs, given ", inputs.size());
  Importer inner(file_, *called, graph, depth_ + 1);
  for (flatbuffers::uoffset_t i = 0; i < called->inputs()->size(); ++i)
    INK_CHECK_OK(inner.define(called->inputs()->Get(i), inputs[i]));
  INK_CHECK_OK(inner.run());
  std::vector<ValueId> outputs;
  for (const std::int32_t index : *called->outputs()) {
    INK_TRY(outputs.emplace_back(), inner.value(index));
  }
  return outputs;
}

Result<const tflite::Tensor*> Importer::tensor(std::int32_t index) const {
  if (index < 0 || static_cast<std::uint32_t>(index) >= subgraph_.tensors()->size())
    return fail(ErrorCode::kCorrupt, "tflite: tensor ", index, " of ", subgraph_.tensors()->size());
  return subgraph_.tensors()->Get(static_cast<flatbuffers::uoffset_t>(index));
}

Result<ByteSpan> Importer::data(const tflite::Tensor& tensor) const {
  if (tensor.buffer() >= file_.model.buffers()->size())
    return fail(ErrorCode::kCorrupt, "tflite: buffer ", tensor.buffer(), " of ",
                file_.model.buffers()->size());
  const auto* bytes = file_.model.buffers()->Get(tensor.buffer())->data();
  return bytes == nullptr ? ByteSpan() : ByteSpan(bytes->data(), bytes->size());
}

Result<ValueId> Importer::value(std::int32_t index) {
  INK_TRY(const tflite::Tensor* found, tensor(index));
  ValueId& value = values_[static_cast<std::size_t>(index)];
  if (value != kNoValue) return value;
  INK_TRY(const ByteSpan bytes, data(*found));
  INK_TRY(const Shape shape, shape_of(*found));
  if (bytes.empty() && shape.elements() > 0)
    return fail(ErrorCode::kCorrupt, "tflite: tensor '", text(found->name()),
                "' is read before it is computed");
  auto constant = read_constant(*found, bytes);
  if (!constant)
    return fail_within(std::move(constant).error(),
                       concat("tflite: tensor '", text(found->name()), "'"));
  value = graph.constant(std::move(*constant));
  return value;
}

Result<void> Importer::define(std::int32_t index, ValueId value) {
  INK_TRY(const tflite::Tensor* found, tensor(index));
  INK_TRY(const auto quantization, quantization_of(*found));
  const Value& made = graph.value(value);
  if (quantization && made.kind == ValueKind::kResult && made.spec.dtype == DType::kF32) {
    INK_TRY(const ValueId steps, to_steps(graph, value, *found, *quantization));
    value = from_steps(graph, steps, *quantization);
  }
  if (graph.value(value).kind == ValueKind::kResult && found->name() != nullptr)
    graph.label(value, found->name()->str());
  values_[static_cast<std::size_t>(index)] = value;
  return {};
}

bool OpReader::has(std::size_t i) const {
  return i < input_count() && op_.inputs()->Get(static_cast<flatbuffers::uoffset_t>(i)) >= 0;
}

Result<ValueId> OpReader::input(std::size_t i) {
  if (!has(i)) return corrupt("input ", i, " is missing");
  return importer_.value(op_.inputs()->Get(static_cast<flatbuffers::uoffset_t>(i)));
}

Result<std::vector<std::int64_t>> OpReader::integers(std::size_t i) const {
  if (!has(i)) return corrupt("input ", i, " is missing");
  INK_TRY(const tflite::Tensor* tensor,
          importer_.tensor(op_.inputs()->Get(static_cast<flatbuffers::uoffset_t>(i))));
  INK_TRY(const ByteSpan bytes, importer_.data(*tensor));
  INK_TRY(const Shape shape, shape_of(*tensor));
  if (bytes.empty() && shape.elements() > 0)
    return unsupported("input ", i, " is computed, expected a constant");
  INK_TRY(const Tensor constant, read_constant(*tensor, bytes));
  std::vector<std::int64_t> values;
  if (constant.dtype() == DType::kI32) {
    const auto numbers = constant.data<std::int32_t>();
    values.assign(numbers.begin(), numbers.end());
  } else if (constant.dtype() == DType::kI64) {
    const auto numbers = constant.data<std::int64_t>();
    values.assign(numbers.begin(), numbers.end());
  } else {
    return corrupt("input ", i, " is ", constant.spec(), ", expected integers");
  }
  return values;
}

Result<Shape> OpReader::output_shape() const {
  if (output_count() == 0) return corrupt("no output");
  INK_TRY(const tflite::Tensor* tensor, importer_.tensor(op_.outputs()->Get(0)));
  return shape_of(*tensor);
}

ByteSpan OpReader::custom_options() const {
  const auto* bytes = op_.custom_options();
  return bytes == nullptr ? ByteSpan() : ByteSpan(bytes->data(), bytes->size());
}

Result<std::size_t> OpReader::axis(std::int64_t axis, std::size_t rank) const {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) return corrupt("axis ", axis, " of rank ", rank);
  return static_cast<std::size_t>(axis < 0 ? axis + signed_rank : axis);
}

Result<void> OpReader::yield(std::size_t output, ValueId value) {
  if (output >= output_count()) return corrupt("output ", output, " of ", output_count());
  if (value == kNoValue) return importer_.graph.status();
  return importer_.define(op_.outputs()->Get(static_cast<flatbuffers::uoffset_t>(output)), value);
}

Result<void> OpReader::yield_activated(ValueId value, std::int8_t activation) {
  Graph& g = graph();
  switch (activation) {
    case 0:
      return yield(value);
    case 1:
      return yield(relu(g, value));
    case 2:
      return yield(clamp(g, value, -1, 1));
    case 3:
      return yield(relu6(g, value));
    case 4:
      return yield(tanh(g, value));
    default:
      return unsupported("activation ", int{activation});
  }
}

bool is_tflite(ByteSpan bytes) {
  return bytes.size() >= kIdentifierAt + kIdentifier.size() &&
         as_text(bytes.subspan(kIdentifierAt, kIdentifier.size())) == kIdentifier;
}

Result<Model> import_model(ByteSpan bytes, const std::map<std::string, Shape>& input_shapes) {
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), kDepthMax, kTablesMax);
  if (!is_tflite(bytes) || !verifier.VerifyBuffer<tflite::Model>(kIdentifier.data()))
    return fail(ErrorCode::kCorrupt, "tflite: ", bytes.size(),
                " bytes that are not a TensorFlow Lite model");
  const tflite::Model& model = *flatbuffers::GetRoot<tflite::Model>(bytes.data());
  if (!is_present(model.operator_codes()) || !is_present(model.buffers()) ||
      !is_present(model.subgraphs()))
    return fail(ErrorCode::kCorrupt, "tflite: parts of the model are missing");
  INK_TRY(const tflite::SubGraph* subgraph, find_subgraph(model, 0));
  ModelFile file{bytes, model};
  Graph graph;
  Importer importer(file, *subgraph, graph);
  for (const std::int32_t index : *subgraph->inputs())
    INK_CHECK_OK(add_input(importer, index, input_shapes));
  for (const auto& [name, shape] : input_shapes) {
    if (graph.find_input(name) == kNoValue) {
      return fail(ErrorCode::kInvalidArgument, "tflite: a shape ", shape, " is given for '", name,
                  "', which is not an input");
    }
  }
  INK_CHECK_OK(importer.run());
  for (const std::int32_t index : *subgraph->outputs()) INK_CHECK_OK(add_output(importer, index));
  Model imported;
  INK_TRY(imported.graph, simplify(graph, true));
  imported.metadata["producer"] = text(model.description());
  imported.metadata["source"] = concat("tflite schema ", model.version());
  return imported;
}

}  // namespace inkling::tflite_import
