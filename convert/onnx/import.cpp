#include "convert/onnx/import.h"

#include <algorithm>

#include "convert/onnx/specialize.h"
#include "runtime/passes/passes.h"

namespace inkling::onnx_import {

namespace {

constexpr std::int64_t kOpsetMax = 17;

Result<Shape> input_shape(const std::string& name, const onnx::TypeProto::Tensor& type,
                          const Options& options) {
  const auto given = options.input_shapes.find(name);
  if (!type.has_shape()) {
    if (given != options.input_shapes.end()) return given->second;
    return fail(ErrorCode::kInvalidArgument, "onnx: input '", name,
                "': the model says nothing about its shape: give it");
  }
  const auto& declared = type.shape();
  if (given != options.input_shapes.end() &&
      static_cast<int>(given->second.rank()) != declared.dim_size()) {
    return fail(ErrorCode::kInvalidArgument, "onnx: input '", name, "' has ", declared.dim_size(),
                " axes, given ", given->second);
  }
  std::vector<std::int64_t> dims;
  for (int i = 0; i < declared.dim_size(); ++i) {
    const auto& dim = declared.dim(i);
    const bool known = dim.has_dim_value() && dim.dim_value() >= 0;
    if (given != options.input_shapes.end()) {
      const std::int64_t size = given->second[static_cast<std::size_t>(i)];
      if (known && size != dim.dim_value() && dim.dim_value() != 0) {
        return fail(ErrorCode::kInvalidArgument, "onnx: input '", name, "': axis ", i, " is ",
                    dim.dim_value(), ", given ", size);
      }
      dims.push_back(size);
    } else if (known && dim.dim_value() > 0) {
      dims.push_back(dim.dim_value());
    } else if (i == 0) {
      dims.push_back(1);
    } else {
      return fail(ErrorCode::kInvalidArgument, "onnx: input '", name, "': the size of axis ", i,
                  " is not fixed by the model: give the input's shape");
    }
  }
  return shape_from(dims);
}

Result<Imported> tensor_input(const std::string& name, const onnx::TypeProto::Tensor& type,
                              const Options& options, Importer& importer) {
  const auto dtype = dtype_from(type.elem_type());
  if (!dtype) {
    return fail(
        ErrorCode::kUnsupported, "onnx: input '", name, "' has element type ",
        type.elem_type() == onnx::TensorProto::STRING ? "string" : concat(type.elem_type()));
  }
  const auto value = options.input_values.find(name);
  if (value != options.input_values.end()) {
    if (value->second->dtype() != *dtype)
      return fail(ErrorCode::kInvalidArgument, "onnx: input '", name, "' is of ",
                  dtype_name(*dtype), ", given ", value->second->spec());
    return Imported{importer.graph.constant(value->second), std::nullopt};
  }
  INK_TRY(const Shape shape, input_shape(name, type, options));
  return Imported{importer.graph.input(name, {*dtype, shape}), std::nullopt};
}

Result<Imported> input_of(const std::string& name, const onnx::TypeProto& type,
                          const Options& options, Importer& importer) {
  if (type.has_optional_type()) {
    if (options.absent_inputs.count(name)) return Imported{};
    return input_of(name, type.optional_type().elem_type(), options, importer);
  }
  if (type.has_tensor_type()) return tensor_input(name, type.tensor_type(), options, importer);
  if (!type.has_sequence_type() || !type.sequence_type().elem_type().has_tensor_type()) {
    return fail(ErrorCode::kUnsupported, "onnx: input '", name,
                "' is neither a tensor nor a sequence of tensors");
  }
  const auto length = options.sequence_lengths.find(name);
  if (length == options.sequence_lengths.end())
    return fail(ErrorCode::kInvalidArgument, "onnx: input '", name,
                "' is a sequence: give its length");
  Imported list{kNoValue, std::vector<Imported>{}};
  for (std::size_t i = 0; i < length->second; ++i) {
    INK_TRY(list.items->emplace_back(),
            tensor_input(concat(name, "[", i, "]"), type.sequence_type().elem_type().tensor_type(),
                         options, importer));
  }
  return list;
}

Result<void> define_inputs(const onnx::GraphProto& proto, const Options& options,
                           Importer& importer) {
  std::set<std::string> weights;
  for (const auto& initializer : proto.initializer()) weights.insert(initializer.name());
  for (const auto& input : proto.input()) {
    if (weights.count(input.name())) continue;  // older models list their weights as inputs too
    INK_TRY(Imported value, input_of(input.name(), input.type(), options, importer));
    importer.define(input.name(), std::move(value));
  }
  for (const auto& [name, shape] : options.input_shapes) {
    if (importer.graph.find_input(name) == kNoValue && !options.input_values.count(name)) {
      return fail(ErrorCode::kInvalidArgument, "onnx: a shape ", shape, " is given for '", name,
                  "', which is not an input");
    }
  }
  return importer.graph.status();
}

Result<void> add_output(const std::string& name, const Imported& value, Importer& importer) {
  if (value.tensor != kNoValue) {
    importer.graph.output(name, value.tensor);
    return importer.graph.status();
  }
  for (std::size_t i = 0; value.items && i < value.items->size(); ++i)
    INK_CHECK_OK(add_output(concat(name, "[", i, "]"), (*value.items)[i], importer));
  return {};
}

Result<Graph> tidy(const Graph& graph) {
  INK_TRY(Graph g, eliminate(graph));
  INK_TRY(g, fold_constants(g));
  INK_TRY(g, sink_transposes(g));
  INK_TRY(g, fold_constants(g));
  return share(g);
}

}  // namespace

Result<onnx::ModelProto> parse_model(ByteSpan bytes) {
  onnx::ModelProto proto;
  if (bytes.size() > kReadBytesMax ||
      !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !proto.has_graph()) {
    return fail(ErrorCode::kCorrupt, "onnx: ", bytes.size(), " bytes that are not an ONNX model");
  }
  return proto;
}

Result<std::int64_t> opset_of(const onnx::ModelProto& model) {
  for (const auto& import : model.opset_import()) {
    if (!import.domain().empty() && import.domain() != "ai.onnx") continue;
    if (import.version() < 1 || import.version() > kOpsetMax) {
      return fail(ErrorCode::kUnsupported, "onnx: opset ", import.version(),
                  ", this version imports 1 to ", kOpsetMax);
    }
    return import.version();
  }
  // A model may consist of other domains' ops alone; it then means the newest that we know.
  const bool standard = std::any_of(
      model.graph().node().begin(), model.graph().node().end(),
      [](const auto& node) { return node.domain().empty() || node.domain() == "ai.onnx"; });
  if (!standard && model.opset_import_size() > 0) return kOpsetMax;
  return fail(ErrorCode::kCorrupt, "onnx: the model names no opset");
}

Result<Model> specialize(const onnx::ModelProto& proto, Weights& weights, const Options& options,
                         std::set<std::string>& needed) {
  INK_TRY(const std::int64_t opset, opset_of(proto));
  Importer importer(weights, opset);
  INK_CHECK_OK(define_inputs(proto.graph(), options, importer));
  const auto done = importer.run(proto.graph());
  needed = importer.needed();
  INK_CHECK_OK(done);
  for (const auto& output : proto.graph().output()) {
    const Imported* value = importer.find(output.name());
    if (!value)
      return fail(ErrorCode::kCorrupt, "onnx: output '", output.name(), "' is not computed");
    INK_CHECK_OK(add_output(output.name(), *value, importer));
  }
  Model model;
  INK_TRY(model.graph, tidy(importer.graph));
  model.metadata["producer"] = proto.producer_name();
  model.metadata["source"] = concat("onnx opset ", opset);
  return model;
}

Result<Model> import_model(ByteSpan bytes, const Options& options) {
  INK_TRY(const onnx::ModelProto proto, parse_model(bytes));
  Weights weights;
  std::set<std::string> needed;
  return specialize(proto, weights, options, needed);
}

}  // namespace inkling::onnx_import
