// Every derivative rule against central differences in f64.

#include <gtest/gtest.h>

#include <set>

#include "autograd/differentiate.h"
#include "autograd/gradcheck.h"
#include "autograd/losses.h"
#include "runtime/op.h"
#include "runtime/ops.h"

namespace inkling {
namespace {

struct Case {
  const char* name;
  std::vector<Shape> inputs;
  GraphBuilder build;
  double low = -2.0, high = 2.0;
};

using Inputs = std::span<const ValueId>;

Window window(std::int64_t stride, std::int64_t pad, std::int64_t dilation = 1) {
  return {
      .strides = {stride, stride}, .pads = {pad, pad, pad, pad}, .dilations = {dilation, dilation}};
}

ValueId rows(Graph& g, std::vector<std::int64_t> numbers) {
  const Shape shape{static_cast<std::int64_t>(numbers.size())};
  return g.constant(Tensor::from<std::int64_t>(shape, numbers));
}

std::vector<Case> cases() {
  return {
      {"neg", {{3, 2}}, [](Graph& g, Inputs x) { return neg(g, x[0]); }},
      {"exp", {{3, 2}}, [](Graph& g, Inputs x) { return exp(g, x[0]); }},
      {"log", {{3, 2}}, [](Graph& g, Inputs x) { return log(g, x[0]); }, 0.5, 2.0},
      {"sqrt", {{3, 2}}, [](Graph& g, Inputs x) { return sqrt(g, x[0]); }, 0.5, 2.0},
      {"tanh", {{3, 2}}, [](Graph& g, Inputs x) { return tanh(g, x[0]); }},
      {"sigmoid", {{3, 2}}, [](Graph& g, Inputs x) { return sigmoid(g, x[0]); }},
      {"erf", {{3, 2}}, [](Graph& g, Inputs x) { return erf(g, x[0]); }},
      {"sin", {{3, 2}}, [](Graph& g, Inputs x) { return sin(g, x[0]); }},
      {"cos", {{3, 2}}, [](Graph& g, Inputs x) { return cos(g, x[0]); }},
      {"tan", {{3, 2}}, [](Graph& g, Inputs x) { return tan(g, x[0]); }, -1.0, 1.0},
      {"asin", {{3, 2}}, [](Graph& g, Inputs x) { return asin(g, x[0]); }, -0.8, 0.8},
      {"acos", {{3, 2}}, [](Graph& g, Inputs x) { return acos(g, x[0]); }, -0.8, 0.8},
      {"atan", {{3, 2}}, [](Graph& g, Inputs x) { return atan(g, x[0]); }},
      {"sinh", {{3, 2}}, [](Graph& g, Inputs x) { return sinh(g, x[0]); }},
      {"cosh", {{3, 2}}, [](Graph& g, Inputs x) { return cosh(g, x[0]); }},
      {"asinh", {{3, 2}}, [](Graph& g, Inputs x) { return asinh(g, x[0]); }},
      {"acosh", {{3, 2}}, [](Graph& g, Inputs x) { return acosh(g, x[0]); }, 1.5, 3.0},
      {"atanh", {{3, 2}}, [](Graph& g, Inputs x) { return atanh(g, x[0]); }, -0.8, 0.8},
      // Away from the kinks at whole numbers.
      {"abs", {{3, 2}}, [](Graph& g, Inputs x) { return abs(g, x[0]); }, 0.5, 2.0},
      {"abs_below_zero", {{3, 2}}, [](Graph& g, Inputs x) { return abs(g, x[0]); }, -2.0, -0.5},
      {"rounding",
       {{3, 2}},
       [](Graph& g, Inputs x) {
         const ValueId whole = add(g, floor(g, x[0]), add(g, ceil(g, x[0]), round(g, x[0])));
         return mul(g, x[0], add(g, whole, sign(g, x[0])));
       },
       1.1,
       1.4},
      {"maximum", {{4, 3}, {3}}, [](Graph& g, Inputs x) { return maximum(g, x[0], x[1]); }},
      {"minimum", {{4, 3}, {3}}, [](Graph& g, Inputs x) { return minimum(g, x[0], x[1]); }},
      {"pow", {{2, 3}, {3}}, [](Graph& g, Inputs x) { return pow(g, x[0], x[1]); }, 0.5, 2.0},
      {"mod",
       {{3, 2}, {3, 2}},
       [](Graph& g, Inputs x) { return mod(g, shift(g, x[0], 5.0), shift(g, x[1], 2.0)); },
       0.1,
       0.3},
      {"mod_truncated",
       {{3, 2}, {3, 2}},
       [](Graph& g, Inputs x) { return mod(g, shift(g, x[0], -5.7), shift(g, x[1], 2.0), true); },
       0.1,
       0.3},
      {"where",
       {{3, 4}, {4}},
       [](Graph& g, Inputs x) {
         return where(g, less(g, x[0], x[1]), exp(g, x[0]), mul(g, x[1], x[1]));
       }},
      {"cast",
       {{3, 2}},
       [](Graph& g, Inputs x) {
         const Attrs to{{Attr::kDType, static_cast<std::int64_t>(DType::kF64)}};
         return exp(g, g.append(OpKind::kCast, {x[0]}, to));
       }},
      {"max_to",
       {{3, 4, 2}},
       [](Graph& g, Inputs x) {
         return max_to(g, x[0], {4, 1});
       }},
      {"min_to",
       {{3, 4, 2}},
       [](Graph& g, Inputs x) {
         return min_to(g, x[0], {3, 1, 2});
       }},
      {"prod_to",
       {{3, 4}},
       [](Graph& g, Inputs x) {
         return prod_to(g, x[0], {3, 1});
       },
       0.5,
       2.0},
      {"cumsum", {{3, 4}}, [](Graph& g, Inputs x) { return cumsum(g, exp(g, x[0]), 1); }},
      {"cumsum_from_the_end",
       {{3, 4}},
       [](Graph& g, Inputs x) { return cumsum(g, exp(g, x[0]), 0, true, true); }},
      {"top_k", {{3, 5}}, [](Graph& g, Inputs x) { return top_k(g, exp(g, x[0]), 3).values; }},
      {"conv2d_input_gradient",
       {{1, 3, 2, 2}, {3, 2, 2, 2}},
       [](Graph& g, Inputs x) {
         return conv2d_input_gradient(g, x[0], x[1], window(2, 1), {1, 5, 3, 2});
       }},
      {"add", {{2, 3}, {2, 3}}, [](Graph& g, Inputs x) { return add(g, x[0], x[1]); }},
      {"sub", {{2, 3}, {3}}, [](Graph& g, Inputs x) { return sub(g, x[0], x[1]); }},
      {"mul", {{2, 1, 3}, {4, 1}}, [](Graph& g, Inputs x) { return mul(g, x[0], x[1]); }},
      {"mul_by_itself", {{2, 3}}, [](Graph& g, Inputs x) { return mul(g, x[0], x[0]); }},
      {"div", {{2, 3}, {2, 3}}, [](Graph& g, Inputs x) { return div(g, x[0], x[1]); }, 0.5, 2.0},
      {"native_broadcast",
       {{2, 3}, {3}},
       [](Graph& g, Inputs x) {
         return g.append(OpKind::kMul, {x[0], x[1]});
       }},
      // Bounds outside, around and inside the drawn values, which never come within 1e-3 of them.
      {"clamp", {{4, 4}}, [](Graph& g, Inputs x) { return clamp(g, x[0], -0.7, 1.1); }},
      {"relu", {{4, 4}}, [](Graph& g, Inputs x) { return relu(g, x[0]); }},
      {"hard_swish", {{4, 4}}, [](Graph& g, Inputs x) { return hard_swish(g, scale(g, x[0], 3)); }},
      {"clamp_gradient",
       {{3, 3}, {3, 3}},
       [](Graph& g, Inputs x) { return clamp_gradient(g, x[0], x[1], -1, 1); }},
      {"reshape",
       {{2, 6}},
       [](Graph& g, Inputs x) {
         return exp(g, reshape(g, x[0], {3, 4}));
       }},
      {"transpose",
       {{2, 3, 4}},
       [](Graph& g, Inputs x) {
         return transpose(g, x[0], {2, 0, 1});
       }},
      {"broadcast_to",
       {{3, 1}},
       [](Graph& g, Inputs x) {
         return broadcast_to(g, x[0], {2, 3, 4});
       }},
      {"sum_to",
       {{2, 3, 4}},
       [](Graph& g, Inputs x) {
         return sum_to(g, exp(g, x[0]), {3, 1});
       }},
      {"mean_axes",
       {{2, 3, 4}},
       [](Graph& g, Inputs x) {
         return mean_axes(g, exp(g, x[0]), std::vector<std::int64_t>{0, 2});
       }},
      {"slice",
       {{4, 5}},
       [](Graph& g, Inputs x) {
         return slice(g, exp(g, x[0]), {1, 2}, {2, 3});
       }},
      {"pad",
       {{2, 3}},
       [](Graph& g, Inputs x) {
         return pad(g, exp(g, x[0]), {1, 0}, {0, 2});
       }},
      {"concat", {{2, 3}, {2, 1}}, [](Graph& g, Inputs x) { return concat(g, x, 1); }},
      {"pad_value",
       {{2, 3}},
       [](Graph& g, Inputs x) {
         return pad(g, exp(g, x[0]), {1, 0}, {0, 2}, 3.0);
       }},
      // Rows named twice, from the end, not at all, and from outside.
      {"gather",
       {{2, 4, 3}},
       [](Graph& g, Inputs x) {
         return gather(g, exp(g, x[0]), rows(g, {1, 1, -1, 7}), 1);
       }},
      {"scatter_add",
       {{4, 3}},
       [](Graph& g, Inputs x) {
         return scatter_add(g, rows(g, {2, 2, -1, 9}), exp(g, x[0]), 0, {5, 3});
       }},
      {"scatter",
       {{4, 3}, {2, 3}},
       [](Graph& g, Inputs x) {
         return scatter(g, exp(g, x[0]), rows(g, {-1, 1}), exp(g, x[1]));
       }},
      {"matmul", {{3, 4}, {4, 2}}, [](Graph& g, Inputs x) { return matmul(g, x[0], x[1]); }},
      {"matmul_at",
       {{4, 3}, {4, 2}},
       [](Graph& g, Inputs x) { return matmul(g, x[0], x[1], true, false); }},
      {"matmul_bt",
       {{3, 4}, {2, 4}},
       [](Graph& g, Inputs x) { return matmul(g, x[0], x[1], false, true); }},
      {"matmul_at_bt",
       {{2, 4, 3}, {2, 2, 4}},
       [](Graph& g, Inputs x) { return matmul(g, x[0], x[1], true, true); }},
      {"conv2d",
       {{2, 5, 4, 2}, {3, 3, 2, 3}},
       [](Graph& g, Inputs x) { return conv2d(g, x[0], x[1], window(1, 1)); }},
      {"conv2d_stride",
       {{1, 6, 5, 2}, {3, 2, 2, 2}},
       [](Graph& g, Inputs x) { return conv2d(g, x[0], x[1], window(2, 1)); }},
      {"conv2d_dilation",
       {{1, 6, 6, 1}, {2, 3, 1, 2}},
       [](Graph& g, Inputs x) { return conv2d(g, x[0], x[1], window(1, 2, 2)); }},
      {"depthwise",
       {{2, 5, 4, 3}, {3, 3, 3}},
       [](Graph& g, Inputs x) { return depthwise_conv2d(g, x[0], x[1], window(2, 1)); }},
      {"max_pool",
       {{2, 4, 5, 2}},
       [](Graph& g, Inputs x) {
         return max_pool(g, x[0], {2, 3}, window(2, 1));
       }},
      {"avg_pool",
       {{2, 4, 5, 2}},
       [](Graph& g, Inputs x) {
         return avg_pool(g, x[0], {3, 2}, window(2, 1));
       }},
      {"avg_pool_padding",
       {{1, 4, 5, 2}},
       [](Graph& g, Inputs x) {
         return avg_pool(g, x[0], {3, 3}, window(1, 1), true);
       }},
      {"gru",
       {{4, 6}, {2, 6}, {1, 2}},
       [](Graph& g, Inputs x) { return gru(g, x[0], x[1], x[2]); }},
      {"softmax", {{3, 4}}, [](Graph& g, Inputs x) { return softmax(g, x[0]); }},
      {"log_softmax", {{3, 4}}, [](Graph& g, Inputs x) { return log_softmax(g, x[0]); }},
      {"cross_entropy",
       {{3, 4}, {3, 4}},
       [](Graph& g, Inputs x) { return softmax_cross_entropy(g, x[0], softmax(g, x[1])); }},
      {"sigmoid_cross_entropy",
       {{3, 2}, {3, 2}},
       [](Graph& g, Inputs x) { return sigmoid_cross_entropy(g, x[0], sigmoid(g, x[1]), 0.1); }},
      {"distillation",
       {{3, 4}, {3, 4}, {3, 4}},
       [](Graph& g, Inputs x) { return distillation(g, x[0], x[1], softmax(g, x[2]), 3, 0.7); }},
      {"mean_squared_error",
       {{3, 4}, {3, 4}},
       [](Graph& g, Inputs x) { return mean_squared_error(g, x[0], x[1]); }},
      // Away from the kink at equality.
      {"mean_absolute_error",
       {{3, 4}, {3, 4}},
       [](Graph& g, Inputs x) { return mean_absolute_error(g, x[0], shift(g, x[1], 5)); }},
      {"huber", {{3, 4}, {3, 4}}, [](Graph& g, Inputs x) { return huber(g, x[0], x[1], 0.7); }},
      {"pairwise_ranking",
       {{5}, {5}},
       [](Graph& g, Inputs x) { return pairwise_ranking(g, x[0], x[1]); }},
      {"ranknet",
       {{2, 4}},
       [](Graph& g, Inputs x) {
         const std::vector<double> relevance = {0, 2, 1, 2, 1, 1, 0, 1};
         return ranknet(g, x[0], g.constant(Tensor::from<double>({2, 4}, relevance)));
       }},
      {"listnet", {{2, 4}, {2, 4}}, [](Graph& g, Inputs x) { return listnet(g, x[0], x[1]); }},
      {"triplet",
       {{4, 3}, {4, 3}, {4, 3}},
       [](Graph& g, Inputs x) { return triplet(g, x[0], x[1], x[2], 0.5); }},
      {"info_nce",
       {{4, 3}, {4, 3}},
       [](Graph& g, Inputs x) { return info_nce(g, unit_rows(g, x[0]), unit_rows(g, x[1]), 0.3); }},
      {"squared_distance",
       {{3, 4}, {3, 4}},
       [](Graph& g, Inputs x) { return squared_distance(g, x[0], x[1]); }},
  };
}

class Gradient : public ::testing::TestWithParam<Case> {};

TEST_P(Gradient, AgreesWithCentralDifferences) {
  const Case& c = GetParam();
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    Rng rng(seed, c.name);
    const auto report = check_gradients(c.build, c.inputs, rng, c.low, c.high);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_GT(report->elements, 0u);
    EXPECT_LT(report->worst_error, 1e-7) << "seed " << seed;
  }
}

// The gradient of a function of the gradient: the rules compose with themselves.
TEST_P(Gradient, OfTheSquaredGradientAgreesToo) {
  const Case& c = GetParam();
  for (const std::string_view once : {"max_pool", "gru"})
    if (c.name == once) GTEST_SKIP() << once << "_gradient has no derivative";
  const GraphBuilder twice = [&](Graph& g, Inputs x) {
    const ValueId y = c.build(g, x);
    const ValueId inner = sum(g, mul(g, y, y));
    const auto gradients = differentiate(g, inner, x);
    ValueId total = scalar_like(g, inner, 0.0);
    if (!gradients) return kNoValue;
    for (const ValueId gradient : *gradients)
      total = add(g, total, sum(g, mul(g, gradient, gradient)));
    return total;
  };
  Rng rng(7, c.name);
  const auto report = check_gradients(twice, c.inputs, rng, c.low, c.high);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_LT(report->worst_error, 1e-6);
}

// Each rule is in a function above, or in the gradient of one, which is differentiated in turn.
TEST(GradientRules, AreAllChecked) {
  std::set<OpKind> checked;
  for (const Case& c : cases()) {
    Graph g;
    std::vector<ValueId> x;
    for (std::size_t i = 0; i < c.inputs.size(); ++i)
      x.push_back(g.input(concat("x", i), {DType::kF64, c.inputs[i]}));
    const ValueId y = c.build(g, x);
    ASSERT_TRUE(differentiate(g, sum(g, mul(g, y, y)), x)) << c.name;
    for (const Node& node : g.nodes()) checked.insert(node.op);
  }
  for (std::size_t i = 0; i < op_count(); ++i) {
    const auto op = static_cast<OpKind>(i);
    if (op_def(op).derivative) {
      EXPECT_TRUE(checked.count(op)) << op_def(op).name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, Gradient, ::testing::ValuesIn(cases()),
                         [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace inkling
