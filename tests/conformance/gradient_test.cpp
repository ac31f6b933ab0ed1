// The derivatives of what the ONNX backend tests compute, against differences in f64: each case
// that has float inputs is imported, turned into f64, and differentiated at the inputs that come
// with it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>

#include "autograd/differentiate.h"
#include "runtime/base/rng.h"
#include "runtime/ops.h"
#include "tests/conformance/case.h"

namespace inkling::conformance {
namespace {

constexpr double kTolerance = 1e-6;  // of the largest slope of the input
// Two central differences, at this step and at half of it, give one that is off by h^4.
constexpr double kStep = 1e-4;
constexpr double kCorner = 1e-2, kConverged = 1e-5;  // of the largest slope
constexpr double kInputMax = 1e3;
constexpr std::size_t kElementsMax = 40;  // of an input that are compared, drawn at random
constexpr std::int64_t kValueElementsMax = 20'000;  // of a value of a graph that is looked at

Tensor as_doubles(const Tensor& from) {
  Tensor to = Tensor::zeros({DType::kF64, from.shape()});
  const auto in = from.data<float>();
  std::copy(in.begin(), in.end(), to.mutable_data<double>().begin());
  return to;
}

// The same graph on f64. Nothing when it is large or has halves, which round.
std::optional<Graph> in_doubles(const Graph& from) {
  Graph to;
  std::vector<ValueId> map(from.values().size(), kNoValue);
  const auto at = [](ValueId id) { return static_cast<std::size_t>(id); };
  for (std::size_t v = 0; v < map.size(); ++v) {
    const Value& value = from.values()[v];
    const bool floats = value.spec.dtype == DType::kF32;
    if (value.spec.dtype == DType::kF16 || value.spec.dtype == DType::kBF16) return std::nullopt;
    if (value.spec.shape.elements() > kValueElementsMax) return std::nullopt;
    if (value.kind == ValueKind::kInput)
      map[v] = to.input(value.name, {floats ? DType::kF64 : value.spec.dtype, value.spec.shape});
    if (value.kind == ValueKind::kConstant)
      map[v] = floats ? to.constant(as_doubles(*value.tensor)) : to.constant(value.tensor);
  }
  for (const Node& node : from.nodes()) {
    std::vector<ValueId> inputs;
    for (const ValueId id : node.inputs) inputs.push_back(map[at(id)]);
    Attrs attrs = node.attrs;
    if (node.op == OpKind::kCast &&
        attrs.integer(Attr::kDType) == static_cast<std::int64_t>(DType::kF32))
      attrs = {{Attr::kDType, static_cast<std::int64_t>(DType::kF64)}};
    const ValueId first = to.append(node.op, inputs, attrs);
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      map[at(node.outputs[i])] = Graph::result_of(first, static_cast<std::uint32_t>(i));
  }
  for (const NamedValue& output : from.outputs()) to.output(output.name, map[at(output.value)]);
  if (!to.status()) return std::nullopt;
  return to;
}

struct Tally {
  std::size_t cases = 0, elements = 0, kinks = 0;
  std::set<OpKind> ops;                        // whose derivatives were compared
  std::map<std::string, std::size_t> without;  // why a case has no derivative: how often
};

// sum over the float outputs of <y, r>, r random
ValueId random_loss(Graph& g, Rng& rng) {
  ValueId loss = kNoValue;
  const auto outputs = g.outputs();
  for (const NamedValue& output : std::vector<NamedValue>(outputs.begin(), outputs.end())) {
    const TensorSpec spec = g.spec(output.value);
    if (spec.dtype != DType::kF64 || spec.shape.elements() == 0) continue;
    Tensor r = Tensor::zeros(spec);
    for (double& v : r.mutable_data<double>()) v = 2 * rng.uniform() - 1;
    const ValueId part = sum(g, mul(g, output.value, g.constant(std::move(r))));
    loss = loss == kNoValue ? part : add(g, loss, part);
  }
  return loss;
}

void check_case(const std::string& name, Graph g, const DataSet& set, Tally& tally) {
  Rng rng(1, name);
  std::vector<ValueId> wrt;
  for (const ValueId id : g.inputs()) {
    if (g.spec(id).dtype == DType::kF64 && g.shape(id).elements() > 0) wrt.push_back(id);
  }
  const std::size_t forward = g.nodes().size();
  const ValueId loss = random_loss(g, rng);
  if (wrt.empty() || loss == kNoValue) return;
  const auto gradients = differentiate(g, loss, wrt);
  if (!gradients) {
    ASSERT_EQ(gradients.error().code, ErrorCode::kUnsupported) << gradients.error().message;
    ++tally.without[gradients.error().message];
    return;
  }
  g.output("the loss", loss);
  for (std::size_t i = 0; i < wrt.size(); ++i) g.output(concat("slope ", i), (*gradients)[i]);
  ASSERT_TRUE(g.status()) << name << ": " << g.status().error().message;
  auto session = Session::create(g, {.optimize = false, .reference_only = true});
  ASSERT_TRUE(session) << name << ": " << session.error().message;
  for (const ValueId id : g.inputs()) {
    const auto given =
        std::find_if(set.inputs.begin(), set.inputs.end(),
                     [&](const NamedTensor& t) { return t.name == g.value(id).name; });
    ASSERT_NE(given, set.inputs.end()) << name;
    const TensorView view = *session->input(given->name);
    const Tensor doubles =
        given->tensor.dtype() == DType::kF32 ? as_doubles(given->tensor) : given->tensor.clone();
    ASSERT_EQ(view.spec, doubles.spec()) << name;
    if (view.spec.bytes() > 0) std::memcpy(view.data, doubles.raw(), view.spec.bytes());
    // Some cases come with whatever lay in the recorder's memory.
    if (view.spec.dtype == DType::kF64 &&
        !std::all_of(view.span<double>().begin(), view.span<double>().end(),
                     [](double v) { return std::abs(v) < kInputMax; }))
      return;
  }
  session->run();
  if (!std::isfinite(*session->output("the loss")->as<double>())) return;
  const auto copied = [](const TensorView& view) {
    return std::vector<double>(view.span<double>().begin(), view.span<double>().end());
  };
  for (std::size_t i = 0; i < wrt.size(); ++i) {
    session->run();  // at the inputs themselves again
    const auto slopes = copied(*session->output(concat("slope ", i)));
    const auto x = session->input(g.value(wrt[i]).name)->span<double>();
    const double* y = session->output("the loss")->as<double>();
    const auto at = [&](std::size_t j, double step) {
      const double centre = x[j];
      x[j] = centre + step;
      session->run();
      x[j] = centre;
      return *y;
    };
    double scale = 1;
    for (const double slope : slopes) {
      if (std::isfinite(slope)) scale = std::max(scale, std::abs(slope));
    }
    std::vector<std::size_t> places(slopes.size());
    for (std::size_t j = 0; j < places.size(); ++j) places[j] = j;
    rng.shuffle(places);
    places.resize(std::min(places.size(), kElementsMax));
    for (const std::size_t j : places) {
      const double middle = at(j, 0), up = at(j, kStep), down = at(j, -kStep);
      const double wide = (up - down) / (2 * kStep);
      const double near = (at(j, kStep / 2) - at(j, -kStep / 2)) / kStep;
      // A corner, a step, or a jump of the second derivative: differences do not converge here.
      if (!std::isfinite(wide) || !std::isfinite(near) ||
          std::abs(up + down - 2 * middle) / kStep > kCorner * scale ||
          std::abs(near - wide) > kConverged * scale) {
        ++tally.kinks;
        continue;
      }
      const double numeric = (4 * near - wide) / 3;
      EXPECT_NEAR(slopes[j], numeric, kTolerance * scale)
          << name << ": input " << i << " element " << j << " " << x[j];
      ++tally.elements;
    }
  }
  ++tally.cases;
  for (std::size_t n = 0; n < forward; ++n) tally.ops.insert(g.nodes()[n].op);
}

// The case's model with the inputs that are not floats made part of it, as they may decide shapes.
Result<Graph> import_case(const Case& recorded) {
  onnx_import::Options options = recorded.sets[0].form;
  for (const NamedTensor& input : recorded.sets[0].inputs) {
    if (is_float(input.tensor.dtype())) {
      options.input_shapes[input.name] = input.tensor.shape();
    } else {
      options.input_values[input.name] = std::make_shared<const Tensor>(input.tensor.clone());
    }
  }
  INK_TRY(Model model, onnx_import::import_model(recorded.model, options));
  return std::move(model.graph);
}

TEST(SuiteGradient, AgreesWithDifferences) {
  const Path data = "/usr/share/libonnx-testdata/data";
  const auto names = find_cases(data);
  ASSERT_TRUE(names) << names.error().message;
  Tally tally;
  for (const std::string& name : *names) {
    const auto recorded = read_case(data / name);
    if (!recorded) continue;  // onnx_conformance says which and why
    const auto graph = import_case(*recorded);
    if (!graph) continue;
    auto doubles = in_doubles(*graph);
    if (doubles) check_case(name, std::move(*doubles), recorded->sets[0], tally);
  }
  std::cout << tally.cases << " cases, " << tally.elements << " slopes compared, " << tally.kinks
            << " at kinks, of " << tally.ops.size() << " ops\n";
  EXPECT_GE(tally.cases, 737u);
  EXPECT_GE(tally.elements, 20'000u);
  EXPECT_GE(tally.ops.size(), 61u);
  // Writing where a number says, if that multiplies or compares, is the one thing on floats
  // without.
  EXPECT_EQ(tally.without,
            (std::map<std::string, std::size_t>{{"scatter: only mode set has a derivative", 1}}));
}

}  // namespace
}  // namespace inkling::conformance
