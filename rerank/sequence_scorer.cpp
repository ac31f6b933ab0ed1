#include "rerank/sequence_scorer.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/rng.h"
#include "runtime/ops.h"

namespace inkling {

namespace {

constexpr double kHidden = 1e9;  // taken from the attention to rows that are not there

std::int64_t size(std::size_t n) { return static_cast<std::int64_t>(n); }

// Builds one network: names its weights and keeps the sizes at hand.
class Builder {
 public:
  Builder(Graph& graph, const SequenceScorerSpec& spec, std::size_t width)
      : g(graph),
        rows(kExampleRows),
        columns(size(width)),
        base(size(spec.base_width)),
        past(size(spec.past_rows)),
        d(size(spec.encoding)),
        hidden(size(spec.hidden)),
        rng_(spec.seed, "sequence scorer") {}

  // Normal weights with the variance 1 / inputs.
  ValueId weights(const char* name, std::int64_t inputs, std::int64_t outputs) {
    Tensor t = Tensor::zeros({DType::kF32, {inputs, outputs}});
    const double deviation = 1 / std::sqrt(static_cast<double>(inputs));
    for (float& v : t.mutable_data<float>()) v = static_cast<float>(deviation * rng_.normal());
    return g.variable(name, std::move(t));
  }
  ValueId zeros(const char* name, std::int64_t outputs) {
    return g.variable(name, Tensor::zeros({DType::kF32, {1, outputs}}));
  }
  ValueId row_constant(std::span<const float> values) {
    return g.constant(Tensor::from<float>({1, size(values.size())}, values));
  }
  // f32[d, past d]: the identity, once a past row.
  ValueId repeated_identity() {
    Tensor t = Tensor::zeros({DType::kF32, {d, past * d}});
    const auto values = t.mutable_data<float>();
    for (std::int64_t i = 0; i < d; ++i)
      for (std::int64_t p = 0; p < past; ++p)
        values[static_cast<std::size_t>(i * past * d + p * d + i)] = 1;
    return g.constant(std::move(t));
  }
  ValueId linear(const char* w, const char* b, ValueId x, std::int64_t inputs,
                 std::int64_t outputs) {
    return add(g, matmul(g, x, weights(w, inputs, outputs)), zeros(b, outputs));
  }

  Graph& g;
  std::int64_t rows, columns, base, past, d, hidden;

 private:
  Rng rng_;
};

struct Inputs {
  ValueId row;      // f32[rows, columns], normalised
  ValueId item;     // f32[rows, d]
  ValueId past;     // f32[past, d], zero where there is none
  ValueId present;  // f32[past, 1]
};

Inputs encode_items(Builder& b, const SequenceScorerSpec& spec) {
  Graph& g = b.g;
  const ValueId features = g.input(kFeaturesInput, {DType::kF32, {b.rows, b.columns}});
  const ValueId past = g.input(kPastInput, {DType::kF32, {b.past, b.base}});
  const ValueId present = g.input(kPresentInput, {DType::kF32, {b.past, 1}});
  const std::span<const float> mean = spec.mean;
  std::vector<float> factors;
  for (const float deviation : spec.deviation) factors.push_back(1 / deviation);
  const std::span<const float> factor = factors;
  const ValueId row = mul(g, sub(g, features, b.row_constant(mean)), b.row_constant(factor));
  const ValueId past_row = mul(g, sub(g, past, b.row_constant(mean.first(spec.base_width))),
                               b.row_constant(factor.first(spec.base_width)));
  const ValueId w = b.weights("trunk/encode", b.base, b.d),
                bias = b.zeros("trunk/encode_bias", b.d);
  const ValueId own = slice(g, row, {0, 0}, {b.rows, b.base});
  const ValueId seen = tanh(g, add(g, matmul(g, past_row, w), bias));
  return {row, tanh(g, add(g, matmul(g, own, w), bias)), mul(g, seen, present), present};
}

// 0 for a past row that is there, else far below zero: f32[1, past].
ValueId absence(Builder& b, ValueId present) {
  return reshape(b.g, scale(b.g, shift(b.g, present, -1), kHidden), {1, b.past});
}

// A place to look at when nothing in the past is like the candidate: without it, attention would
// have to spread over what is there. `logits` f32[rows, past], `values` f32[past, d].
ValueId attend(Builder& b, ValueId logits, ValueId values) {
  Graph& g = b.g;
  const ValueId nothing = broadcast_to(g, b.zeros("trunk/nothing", 1), {b.rows, 1});
  const ValueId all = softmax(g, concat(g, std::vector<ValueId>{logits, nothing}, 1));
  return matmul(g, slice(g, all, {0, 0}, {b.rows, b.past}), values);
}

// What a candidate's encoding finds in the past: f32[rows, d].
ValueId din_interest(Builder& b, const Inputs& in) {
  Graph& g = b.g;
  const ValueId query = matmul(g, in.item, b.weights("trunk/query", b.d, b.d));
  const ValueId likeness =
      scale(g, matmul(g, query, in.past, false, true), 1 / std::sqrt(static_cast<double>(b.d)));
  const ValueId recency = b.zeros("trunk/recency", b.past);
  return attend(b, add(g, add(g, likeness, recency), absence(b, in.present)), in.past);
}

ValueId run_gru(Builder& b, const char* w, const char* bias, const char* u, ValueId x) {
  const ValueId start = b.g.constant(Tensor::zeros({DType::kF32, {1, b.d}}));
  return gru(b.g, b.linear(w, bias, x, b.d, 3 * b.d), b.weights(u, b.d, 3 * b.d), start);
}

struct Context {
  ValueId candidate, interest;  // f32[rows, d]
};

Context edgerec_context(Builder& b, const Inputs& in) {
  Graph& g = b.g;
  const ValueId behaviour =
      run_gru(b, "trunk/behaviour", "trunk/behaviour_bias", "trunk/behaviour_state", in.past);
  const ValueId list = run_gru(b, "trunk/list", "trunk/list_bias", "trunk/list_state", in.item);
  // Additive attention: v . tanh(list W + behaviour U), for all past rows side by side: W and v
  // stand once for each of them, which constant folding does beforehand in a frozen model.
  const std::int64_t wide = b.past * b.d;
  const ValueId query = matmul(g, b.weights("trunk/query", b.d, b.d), b.repeated_identity());
  const ValueId offered =
      reshape(g, matmul(g, behaviour, b.weights("trunk/key", b.d, b.d)), {1, wide});
  const ValueId both = tanh(g, add(g, matmul(g, list, query), offered));  // f32[rows, past d]
  const ValueId v =
      matmul(g, reshape(g, b.weights("trunk/attention", b.d, 1), {1, b.d}), b.repeated_identity());
  const ValueId weighed = reshape(g, mul(g, both, v), {b.rows, b.past, b.d});
  const ValueId likeness = reshape(g, sum_to(g, weighed, {b.rows, b.past, 1}), {b.rows, b.past});
  const ValueId value = add(g, behaviour, in.past);
  return {list, attend(b, add(g, likeness, absence(b, in.present)), value)};
}

Result<void> check_spec(const FeatureSchema& schema, const SequenceScorerSpec& spec) {
  const std::size_t width = schema.width();
  if (spec.mean.size() != width || spec.deviation.size() != width || spec.linear.size() != width ||
      spec.base_width == 0 || spec.base_width > width) {
    return fail(ErrorCode::kInvalidArgument, "sequence scorer: ", spec.mean.size(), " means, ",
                spec.deviation.size(), " deviations, ", spec.linear.size(),
                " weights and a base of ", spec.base_width, " columns, expected ", width,
                " of each and a base within them");
  }
  if (!std::all_of(spec.deviation.begin(), spec.deviation.end(),
                   [](float v) { return v > 0 && std::isfinite(v); }))
    return fail(ErrorCode::kInvalidArgument, "sequence scorer: a deviation is not above 0");
  for (const std::size_t n :
       {width, spec.base_width, spec.past_rows, spec.encoding, spec.hidden, spec.past_rows + 1,
        3 * spec.encoding, width + spec.hidden, width + 3 * spec.encoding}) {
    if (n == 0 || size(n) == kExampleRows) {
      return fail(ErrorCode::kInvalidArgument, "sequence scorer: a size of ", n,
                  ", expected none of 0 and ", kExampleRows);
    }
  }
  return {};
}

}  // namespace

Result<Model> sequence_scorer(const FeatureSchema& schema, const SequenceScorerSpec& spec) {
  INK_CHECK_OK(check_spec(schema, spec));
  Model model;
  Graph& g = model.graph;
  Builder b(g, spec, schema.width());
  const Inputs in = encode_items(b, spec);
  Context context{in.item, kNoValue};
  if (spec.kind == SequenceKind::kDin) {
    context.interest = din_interest(b, in);
  } else {
    context = edgerec_context(b, in);
  }
  const std::vector<ValueId> parts = {in.row, context.candidate, context.interest,
                                      mul(g, context.candidate, context.interest)};
  const std::int64_t joined = b.columns + 3 * b.d;
  const ValueId first =
      relu(g, b.linear("trunk/hidden", "trunk/hidden_bias", concat(g, parts, 1), joined, b.hidden));
  const ValueId representation = concat(g, std::vector<ValueId>{in.row, first}, 1);
  g.output(kRepresentationOutput, representation);
  std::vector<float> head = spec.linear;
  head.resize(schema.width() + spec.hidden, 0.0f);
  const ValueId w = g.variable(
      kHeadVariable, Tensor::from<float>({size(head.size()), 1}, std::span<const float>(head)));
  g.output(kScoresOutput, matmul(g, representation, w));
  INK_CHECK_OK(g.status());
  model.metadata = {{"kind", spec.kind == SequenceKind::kDin ? "din" : "edgerec"},
                    {kSchemaKey, schema_tag(schema)}};
  return model;
}

Result<Model> freeze_trunk(const Model& model) {
  const Graph& from = model.graph;
  if (from.find_variable(kHeadVariable) == kNoValue)
    return fail(ErrorCode::kInvalidArgument, "freeze: no variable '", kHeadVariable, "'");
  Model frozen{.graph = {}, .metadata = model.metadata};
  Graph& g = frozen.graph;
  std::vector<ValueId> moved;
  for (const Value& value : from.values()) {
    const bool is_head = value.name == kHeadVariable;
    switch (value.kind) {
      case ValueKind::kInput:
        moved.push_back(g.input(value.name, value.spec));
        break;
      case ValueKind::kConstant:
        moved.push_back(g.constant(value.tensor));
        break;
      case ValueKind::kVariable:
        moved.push_back(is_head ? g.variable(value.name, value.tensor) : g.constant(value.tensor));
        break;
      case ValueKind::kResult:
        moved.push_back(kNoValue);
    }
  }
  append_nodes(g, from, moved);
  for (const NamedValue& output : from.outputs())
    g.output(output.name, moved[static_cast<std::size_t>(output.value)]);
  INK_CHECK_OK(g.status());
  return frozen;
}

}  // namespace inkling
