#include "rerank/scorer.h"

#include <algorithm>

namespace inkling {

namespace {

Result<ValueId> find(ValueId id, const char* kind, const char* name) {
  if (id == kNoValue)
    return fail(ErrorCode::kInvalidArgument, "scorer: no ", kind, " named '", name, "'");
  return id;
}

// Sizes that equal the example's number of rows take the new one.
Attrs resize(const Attrs& attrs, std::int64_t example, std::int64_t rows) {
  Attrs resized = attrs;
  if (example == 1) return resized;
  for (const Attr attr : {Attr::kShape, Attr::kSizes}) {
    if (!attrs.has(attr)) continue;
    std::vector<std::int64_t> sizes = attrs.integers(attr);
    std::replace(sizes.begin(), sizes.end(), example, rows);
    resized.set(attr, std::move(sizes));
  }
  return resized;
}

// Adds a leaf to `to`; the features get their new shape.
ValueId copy_leaf(Graph& to, const Value& leaf, bool is_features, std::int64_t rows,
                  std::string_view suffix) {
  switch (leaf.kind) {
    case ValueKind::kConstant:
      return to.constant(leaf.tensor);
    case ValueKind::kVariable: {
      const ValueId shared = to.find_variable(leaf.name);
      return shared != kNoValue ? shared : to.variable(leaf.name, leaf.tensor);
    }
    default:
      break;
  }
  TensorSpec spec = leaf.spec;
  if (is_features) spec.shape = spec.shape.with(0, rows);
  return to.input(concat(leaf.name, suffix), spec);
}

Result<void> expect_features(const Graph& graph) {
  INK_CHECK_OK(graph.status());
  INK_TRY(const ValueId features, find(graph.find_input(kFeaturesInput), "input", kFeaturesInput));
  INK_CHECK_OK(find(graph.find_output(kScoresOutput), "output", kScoresOutput));
  if (graph.spec(features).dtype != DType::kF32 || graph.shape(features).rank() != 2) {
    return fail(ErrorCode::kInvalidArgument, "scorer: features are ", graph.spec(features),
                ", expected f32[rows, width]");
  }
  return {};
}

// What each value of `scorer` became in `to`; empty when it is not a scorer, which latches.
std::vector<ValueId> copy_scorer(Graph& to, const Graph& scorer, std::size_t rows,
                                 std::string_view suffix) {
  if (const auto valid = expect_features(scorer); !valid) {
    to.latch(valid.error());
    return {};
  }
  const ValueId features = scorer.find_input(kFeaturesInput);
  const std::int64_t example = scorer.shape(features)[0], count = static_cast<std::int64_t>(rows);
  std::vector<ValueId> moved(scorer.values().size(), kNoValue);
  for (std::size_t i = 0; i < scorer.values().size(); ++i) {
    const Value& value = scorer.values()[i];
    if (value.kind != ValueKind::kResult)
      moved[i] = copy_leaf(to, value, i == static_cast<std::size_t>(features), count, suffix);
  }
  append_nodes(to, scorer, moved, example, count);
  return moved;
}

}  // namespace

std::string schema_tag(const FeatureSchema& schema) {
  ByteWriter out;
  for (int shift = 56; shift >= 0; shift -= 8)
    out.u8(static_cast<std::uint8_t>(schema.fingerprint() >> shift));
  return to_hex(out.bytes());
}

void append_nodes(Graph& to, const Graph& from, std::span<ValueId> moved, std::int64_t example,
                  std::int64_t rows) {
  for (const Node& node : from.nodes()) {
    std::vector<ValueId> inputs;
    for (const ValueId id : node.inputs) inputs.push_back(moved[static_cast<std::size_t>(id)]);
    const ValueId first = to.append(node.op, inputs, resize(node.attrs, example, rows));
    for (std::uint32_t i = 0; i < node.outputs.size(); ++i)
      moved[static_cast<std::size_t>(node.outputs[i])] = Graph::result_of(first, i);
  }
}

ValueId append_scorer(Graph& to, const Graph& scorer, std::size_t rows, std::string_view suffix) {
  const auto moved = copy_scorer(to, scorer, rows, suffix);
  if (moved.empty()) return kNoValue;
  return moved[static_cast<std::size_t>(scorer.find_output(kScoresOutput))];
}

Result<Graph> with_rows(const Graph& graph, std::size_t rows) {
  INK_CHECK_OK(expect_features(graph));
  Graph copy;
  const auto moved = copy_scorer(copy, graph, rows, "");
  for (const NamedValue& output : graph.outputs())
    copy.output(output.name, moved[static_cast<std::size_t>(output.value)]);
  if (!copy.status()) return fail_within(copy.status().error(), "scorer with ", rows, " rows");
  const TensorSpec expected{DType::kF32, {static_cast<std::int64_t>(rows), 1}};
  const TensorSpec& got = copy.spec(copy.find_output(kScoresOutput));
  if (got != expected) {
    return fail(ErrorCode::kInvalidArgument, "scorer: scores are ", got, ", expected ", expected);
  }
  return copy;
}

Result<std::size_t> past_rows(const Graph& graph) {
  const ValueId past = graph.find_input(kPastInput), present = graph.find_input(kPresentInput);
  if (past == kNoValue && present == kNoValue) return std::size_t{0};
  if (past == kNoValue || present == kNoValue || graph.shape(past).rank() != 2 ||
      graph.spec(past).dtype != DType::kF32 ||
      graph.spec(present) != TensorSpec{DType::kF32, Shape{graph.shape(past)[0], 1}}) {
    return fail(ErrorCode::kInvalidArgument,
                "scorer: expected inputs past f32[rows, width] and present f32[rows, 1] together");
  }
  return static_cast<std::size_t>(graph.shape(past)[0]);
}

Result<void> check_scorer(const Model& model, const FeatureSchema& schema) {
  const auto tag = model.metadata.find(kSchemaKey);
  const std::string expected = schema_tag(schema);
  if (tag == model.metadata.end() || tag->second != expected) {
    return fail(ErrorCode::kVerification, "scorer: made for feature schema ",
                tag == model.metadata.end() ? "(none)" : tag->second.c_str(), ", expected ",
                expected);
  }
  INK_CHECK_OK(with_rows(model.graph, 1));
  INK_CHECK_OK(past_rows(model.graph));
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

Result<Model> with_parameters(const Model& model, std::span<const float> values) {
  INK_TRY(const std::vector<float> before, model_parameters(model.graph));
  if (before.size() != values.size()) {
    return fail(ErrorCode::kInvalidArgument, "scorer: ", values.size(), " parameters, expected ",
                before.size());
  }
  Model changed = model;
  for (const ValueId id : model.graph.variables()) {
    const Shape& shape = model.graph.shape(id);
    const auto count = static_cast<std::size_t>(shape.elements());
    changed.graph.set_variable(id, Tensor::from<float>(shape, values.first(count)));
    values = values.subspan(count);
  }
  INK_CHECK_OK(changed.graph.status());
  return changed;
}

Result<void> fill_past(std::span<const float> past, const TensorView& rows,
                       const TensorView& present) {
  const auto width = static_cast<std::size_t>(rows.shape()[1]),
             places = static_cast<std::size_t>(rows.shape()[0]);
  if (past.size() % width != 0) {
    return fail(ErrorCode::kInvalidArgument, "past: ", past.size(), " numbers, expected rows of ",
                width);
  }
  const auto to = rows.span<float>(), flags = present.span<float>();
  const std::size_t count = std::min(past.size() / width, places);
  std::fill(to.begin(), to.end(), 0.0f);
  std::fill(flags.begin(), flags.end(), 0.0f);
  const auto kept = past.last(count * width);
  std::copy(kept.begin(), kept.end(), to.end() - static_cast<std::ptrdiff_t>(kept.size()));
  std::fill_n(flags.end() - static_cast<std::ptrdiff_t>(count), count, 1.0f);
  return {};
}

}  // namespace inkling
