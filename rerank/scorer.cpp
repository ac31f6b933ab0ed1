#include "rerank/scorer.h"

namespace inkling {

namespace {

Result<ValueId> find(ValueId id, const char* kind, const char* name) {
  if (id == kNoValue)
    return fail(ErrorCode::kInvalidArgument, "scorer: no ", kind, " named '", name, "'");
  return id;
}

// Adds a leaf of `from` to `to`; the features get their new shape.
ValueId copy_leaf(Graph& to, const Value& leaf, bool is_features, std::int64_t rows) {
  switch (leaf.kind) {
    case ValueKind::kConstant:
      return to.constant(leaf.tensor);
    case ValueKind::kVariable:
      return to.variable(leaf.name, leaf.tensor);
    default:
      break;
  }
  TensorSpec spec = leaf.spec;
  if (is_features) spec.shape = spec.shape.with(0, rows);
  return to.input(leaf.name, spec);
}

}  // namespace

std::string schema_tag(const FeatureSchema& schema) {
  ByteWriter out;
  for (int shift = 56; shift >= 0; shift -= 8)
    out.u8(static_cast<std::uint8_t>(schema.fingerprint() >> shift));
  return to_hex(out.bytes());
}

Result<Graph> with_rows(const Graph& graph, std::size_t rows) {
  INK_CHECK_OK(graph.status());
  INK_TRY(const ValueId features, find(graph.find_input(kFeaturesInput), "input", kFeaturesInput));
  INK_TRY(const ValueId scores, find(graph.find_output(kScoresOutput), "output", kScoresOutput));
  if (graph.spec(features).dtype != DType::kF32 || graph.shape(features).rank() != 2) {
    return fail(ErrorCode::kInvalidArgument, "scorer: features are ", graph.spec(features),
                ", expected f32[rows, width]");
  }
  const auto count = static_cast<std::int64_t>(rows);
  Graph copy;
  std::vector<ValueId> moved(graph.values().size(), kNoValue);
  for (std::size_t i = 0; i < graph.values().size(); ++i) {
    const Value& value = graph.values()[i];
    if (value.kind != ValueKind::kResult)
      moved[i] = copy_leaf(copy, value, i == static_cast<std::size_t>(features), count);
  }
  for (const Node& node : graph.nodes()) {
    std::vector<ValueId> inputs;
    for (const ValueId id : node.inputs) inputs.push_back(moved[static_cast<std::size_t>(id)]);
    const ValueId first = copy.append(node.op, inputs, node.attrs);
    for (std::uint32_t i = 0; i < node.outputs.size(); ++i)
      moved[static_cast<std::size_t>(node.outputs[i])] = Graph::result_of(first, i);
  }
  copy.output(kScoresOutput, moved[static_cast<std::size_t>(scores)]);
  if (!copy.status()) return fail_within(copy.status().error(), "scorer with ", rows, " rows");
  const TensorSpec expected{DType::kF32, {count, 1}};
  const TensorSpec& got = copy.spec(copy.find_output(kScoresOutput));
  if (got != expected) {
    return fail(ErrorCode::kInvalidArgument, "scorer: scores are ", got, ", expected ", expected);
  }
  return copy;
}

Result<void> check_scorer(const Model& model, const FeatureSchema& schema) {
  const auto tag = model.metadata.find(kSchemaKey);
  const std::string expected = schema_tag(schema);
  if (tag == model.metadata.end() || tag->second != expected) {
    return fail(ErrorCode::kVerification, "scorer: made for feature schema ",
                tag == model.metadata.end() ? "(none)" : tag->second.c_str(), ", expected ",
                expected);
  }
  INK_TRY([[maybe_unused]] const Graph one_row, with_rows(model.graph, 1));
  const auto width = static_cast<std::int64_t>(schema.width());
  if (const Shape& shape = model.graph.shape(model.graph.find_input(kFeaturesInput));
      shape[1] != width) {
    return fail(ErrorCode::kInvalidArgument, "scorer: features are ", shape, ", expected ", width,
                " columns");
  }
  return {};
}

Result<Sha256Digest> model_identity(const Model& model) {
  INK_TRY(const Bytes bytes, encode_model(model));
  return model_digest(bytes);
}

Result<std::vector<float>> model_parameters(const Graph& graph) {
  std::vector<float> values;
  for (const ValueId id : graph.variables()) {
    const Value& variable = graph.value(id);
    if (variable.spec.dtype != DType::kF32) {
      return fail(ErrorCode::kUnsupported, "scorer: variable '", variable.name, "' is ",
                  variable.spec, ", expected f32");
    }
    const auto data = variable.tensor->data<float>();
    values.insert(values.end(), data.begin(), data.end());
  }
  return values;
}

}  // namespace inkling
