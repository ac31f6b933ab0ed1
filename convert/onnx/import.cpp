#include "convert/onnx/import.h"

#include <string_view>

#include "convert/onnx/importer.h"
#include "runtime/passes/passes.h"

namespace inkling::onnx_import {

namespace {

constexpr std::int64_t kOpsetMin = 7;
constexpr std::int64_t kOpsetMax = 17;

Handler find_handler(std::string_view op) {
  for (const auto& table : {arithmetic_handlers(), layer_handlers(), shape_handlers()}) {
    for (const HandlerRow& row : table) {
      if (op == row.op) return row.import;
    }
  }
  return nullptr;
}

Result<std::int64_t> opset_of(const onnx::ModelProto& model) {
  for (const auto& import : model.opset_import()) {
    if (!import.domain().empty() && import.domain() != "ai.onnx") continue;
    if (import.version() < kOpsetMin || import.version() > kOpsetMax) {
      return fail(ErrorCode::kUnsupported, "onnx: opset ", import.version(),
                  ", this version imports ", kOpsetMin, " to ", kOpsetMax);
    }
    return import.version();
  }
  return fail(ErrorCode::kCorrupt, "onnx: the model names no opset");
}

Result<Shape> input_shape(const onnx::ValueInfoProto& input, const Options& options) {
  if (!input.type().has_tensor_type() ||
      input.type().tensor_type().elem_type() != onnx::TensorProto::FLOAT) {
    return fail(ErrorCode::kUnsupported, "onnx: input '", input.name(), "' is not a float tensor");
  }
  const auto& declared = input.type().tensor_type().shape();
  const auto given = options.input_shapes.find(input.name());
  std::vector<std::int64_t> dims;
  for (int i = 0; i < declared.dim_size(); ++i) {
    const auto& dim = declared.dim(i);
    const bool known = dim.has_dim_value() && dim.dim_value() > 0;
    if (given != options.input_shapes.end() &&
        static_cast<int>(given->second.rank()) == declared.dim_size()) {
      const std::int64_t size = given->second[static_cast<std::size_t>(i)];
      if (known && size != dim.dim_value()) {
        return fail(ErrorCode::kInvalidArgument, "onnx: input '", input.name(), "': axis ", i,
                    " is ", dim.dim_value(), ", given ", size);
      }
      dims.push_back(size);
    } else if (known) {
      dims.push_back(dim.dim_value());
    } else if (i == 0) {
      dims.push_back(1);
    } else {
      return fail(ErrorCode::kInvalidArgument, "onnx: input '", input.name(),
                  "': the size of axis ", i, " is not fixed by the model: give the input's shape");
    }
  }
  return shape_from(dims);
}

Result<void> define_inputs(const onnx::GraphProto& proto, const Options& options,
                           Importer& importer) {
  for (const auto& initializer : proto.initializer()) {
    INK_TRY(Imported value, import_tensor(initializer, importer.graph));
    importer.define(initializer.name(), std::move(value));
  }
  for (const auto& input : proto.input()) {
    if (importer.find(input.name())) continue;  // older models list their weights as inputs too
    INK_TRY(const Shape shape, input_shape(input, options));
    importer.define(input.name(),
                    {importer.graph.input(input.name(), {DType::kF32, shape}), std::nullopt});
  }
  for (const auto& [name, shape] : options.input_shapes) {
    if (importer.graph.find_input(name) == kNoValue) {
      return fail(ErrorCode::kInvalidArgument, "onnx: a shape ", shape, " is given for '", name,
                  "', which is not an input");
    }
  }
  return {};
}

Result<Graph> tidy(const Graph& graph) {
  INK_TRY(Graph g, fold_constants(graph));
  INK_TRY(g, sink_transposes(g));
  INK_TRY(g, fold_constants(g));
  return share(g);
}

}  // namespace

Result<Model> import_model(ByteSpan bytes, const Options& options) {
  onnx::ModelProto proto;
  if (bytes.size() > kReadBytesMax ||
      !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !proto.has_graph()) {
    return fail(ErrorCode::kCorrupt, "onnx: ", bytes.size(), " bytes that are not an ONNX model");
  }
  Importer importer;
  INK_TRY(importer.opset, opset_of(proto));
  INK_CHECK_OK(define_inputs(proto.graph(), options, importer));
  for (const auto& node : proto.graph().node()) {
    NodeReader reader(importer, node);
    const bool standard = node.domain().empty() || node.domain() == "ai.onnx";
    const Handler handler = standard ? find_handler(node.op_type()) : nullptr;
    if (!handler)
      return reader.unsupported("op ", standard ? "" : node.domain() + ".", node.op_type(),
                                " is not supported");
    INK_CHECK_OK(handler(reader));
  }
  for (const auto& output : proto.graph().output()) {
    const Imported* value = importer.find(output.name());
    if (!value || value->tensor == kNoValue) {
      return fail(ErrorCode::kUnsupported, "onnx: output '", output.name(),
                  "' is not a float tensor that a node computes");
    }
    importer.graph.output(output.name(), value->tensor);
  }
  Model model;
  INK_TRY(model.graph, tidy(importer.graph));
  model.metadata["producer"] = proto.producer_name();
  model.metadata["source"] = concat("onnx opset ", importer.opset);
  return model;
}

}  // namespace inkling::onnx_import
