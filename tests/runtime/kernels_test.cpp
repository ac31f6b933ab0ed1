// Every row of the kernel table against the reference of its op: many shapes, one and three
// threads, each instruction set that this CPU has.

#include <gtest/gtest.h>

#include <hwy/targets.h>
#include <algorithm>

#include <cmath>
#include <set>

#include "runtime/ops.h"
#include "tests/runtime/support.h"

namespace inkling {
namespace {

using Build = std::function<ValueId(Graph&)>;
struct Case {
  std::string name;
  Build build;
};

ValueId in(Graph& g, Shape shape) {
  return g.input(concat("x", g.inputs().size()), {DType::kF32, shape});
}

Window window(std::int64_t stride, std::int64_t pad, std::int64_t dilation = 1) {
  return {
      .strides = {stride, stride}, .pads = {pad, pad, pad, pad}, .dilations = {dilation, dilation}};
}

ValueId weights(Graph& g, Shape shape, bool constant) {
  Rng rng(5, "weights");
  return constant ? g.constant(test::random_tensor({DType::kF32, shape}, rng)) : in(g, shape);
}

void add_matmuls(std::vector<Case>& cases) {
  for (const std::int64_t m : {1, 3, 13, 97}) {
    for (const std::int64_t n : {1, 10, 16, 33, 130}) {
      for (int flags = 0; flags < 8; ++flags) {
        const bool ta = flags & 1, tb = flags & 2, constant = flags & 4;
        cases.push_back(
            {concat("matmul_", m, "_", n, "_", flags), [=](Graph& g) {
               const std::int64_t k = 19;
               const ValueId a = in(g, ta ? Shape{k, m} : Shape{m, k});
               return matmul(g, a, weights(g, tb ? Shape{n, k} : Shape{k, n}, constant), ta, tb);
             }});
      }
    }
  }
  cases.push_back({"matmul_batch", [](Graph& g) {
                     return matmul(g, in(g, {3, 5, 4}), in(g, {3, 4, 17}));
                   }});
  cases.push_back({"matmul_residual", [](Graph& g) {
                     return g.append(
                         OpKind::kMatmul,
                         {in(g, {2, 50, 20}), in(g, {2, 20, 40}), in(g, {40}), in(g, {2, 50, 40})},
                         {{Attr::kMax, 1.5}});
                   }});
  cases.push_back({"matmul_fused", [](Graph& g) {
                     return g.append(OpKind::kMatmul,
                                     {in(g, {50, 20}), weights(g, {20, 40}, true), in(g, {40})},
                                     {{Attr::kMin, 0.0}, {Attr::kMax, 0.5}});
                   }});
}

void add_convolutions(std::vector<Case>& cases) {
  struct Geometry {
    Shape x;
    std::int64_t kh, kw, out, stride, pad, dilation;
  };
  const std::vector<Geometry> geometries = {
      {{2, 7, 6, 3}, 3, 3, 8, 1, 1, 1},     {{1, 9, 9, 16}, 3, 3, 33, 2, 1, 1},
      {{2, 5, 5, 20}, 1, 1, 40, 1, 0, 1},   {{1, 8, 8, 4}, 1, 1, 5, 2, 0, 1},
      {{1, 10, 11, 2}, 3, 2, 7, 1, 2, 2},   {{3, 4, 4, 1}, 4, 4, 2, 1, 0, 1},
      {{1, 40, 40, 50}, 3, 3, 10, 1, 1, 1}, {{1, 1, 1, 3}, 3, 3, 4, 1, 1, 1},
      {{9, 28, 28, 1}, 5, 5, 6, 1, 2, 1},   {{3, 20, 37, 3}, 3, 3, 8, 2, 1, 1},
      {{1, 33, 40, 2}, 3, 3, 5, 3, 4, 2},   {{2, 13, 11, 37}, 5, 5, 4, 2, 2, 1},
      {{2, 6, 90, 4}, 2, 3, 7, 1, 0, 1},    {{2, 14, 13, 40}, 3, 3, 21, 1, 1, 1},
      {{1, 11, 30, 17}, 3, 3, 48, 1, 0, 1}, {{1, 7, 7, 64}, 3, 3, 64, 1, 1, 1},
      {{1, 9, 35, 33}, 3, 3, 16, 2, 1, 1}};
  for (std::size_t i = 0; i < geometries.size(); ++i) {
    const Geometry e = geometries[i];
    const auto conv = [e](Graph& g, bool constant) {
      return conv2d(g, in(g, e.x), weights(g, {e.kh, e.kw, e.x[3], e.out}, constant),
                    window(e.stride, e.pad, e.dilation));
    };
    cases.push_back({concat("conv2d_", i), [=](Graph& g) { return conv(g, false); }});
    cases.push_back({concat("conv2d_packed_", i), [=](Graph& g) { return conv(g, true); }});
    cases.push_back(
        {concat("conv2d_fused_", i), [=](Graph& g) {
           const ValueId y = conv(g, true);
           Attrs attrs = g.nodes().back().attrs;
           attrs.set(Attr::kMin, -5.0).set(Attr::kMax, 7.5);
           const auto inputs = g.nodes().back().inputs;
           return g.append(OpKind::kConv2d, {inputs[0], inputs[1], in(g, {g.shape(y)[3]})}, attrs);
         }});
    cases.push_back({concat("conv2d_residual_", i), [=](Graph& g) {
                       const ValueId y = conv(g, true);
                       const Node node = g.nodes().back();
                       const Shape shape = g.shape(y);
                       Attrs attrs = node.attrs;
                       attrs.set(Attr::kMin, 0.0);
                       return g.append(
                           OpKind::kConv2d,
                           {node.inputs[0], node.inputs[1], in(g, {shape[3]}), in(g, shape)},
                           attrs);
                     }});
    cases.push_back(
        {concat("conv2d_input_gradient_", i), [=](Graph& g) {
           const ValueId y = conv(g, false);
           Attrs attrs = g.nodes().back().attrs;
           attrs.set(Attr::kShape, std::vector<std::int64_t>(e.x.dims().begin(), e.x.dims().end()));
           return g.append(OpKind::kConv2dInputGradient, {y, g.nodes().back().inputs[1]}, attrs);
         }});
    cases.push_back(
        {concat("conv2d_weight_gradient_", i), [=](Graph& g) {
           const ValueId y = conv(g, false);
           Attrs attrs = g.nodes().back().attrs;
           attrs.set(Attr::kKernel, std::vector<std::int64_t>{e.kh, e.kw});
           return g.append(OpKind::kConv2dWeightGradient, {g.nodes().back().inputs[0], y}, attrs);
         }});
    cases.push_back({concat("depthwise_", i), [=](Graph& g) {
                       return depthwise_conv2d(g, in(g, e.x),
                                               weights(g, {e.kh, e.kw, e.x[3]}, true),
                                               window(e.stride, e.pad, e.dilation));
                     }});
    const auto depthwise = [e](Graph& g) {
      return depthwise_conv2d(g, in(g, e.x), weights(g, {e.kh, e.kw, e.x[3]}, false),
                              window(e.stride, e.pad, e.dilation));
    };
    cases.push_back({concat("depthwise_input_gradient_", i), [=](Graph& g) {
                       const ValueId y = depthwise(g);
                       Attrs attrs = g.nodes().back().attrs;
                       attrs.set(Attr::kShape,
                                 std::vector<std::int64_t>(e.x.dims().begin(), e.x.dims().end()));
                       return g.append(OpKind::kDepthwiseConv2dInputGradient,
                                       {y, g.nodes().back().inputs[1]}, attrs);
                     }});
    cases.push_back({concat("depthwise_weight_gradient_", i), [=](Graph& g) {
                       const ValueId y = depthwise(g);
                       Attrs attrs = g.nodes().back().attrs;
                       attrs.set(Attr::kKernel, std::vector<std::int64_t>{e.kh, e.kw});
                       return g.append(OpKind::kDepthwiseConv2dWeightGradient,
                                       {g.nodes().back().inputs[0], y}, attrs);
                     }});
    cases.push_back({concat("expanded_depthwise_", i), [=](Graph& g) {
                       depthwise_conv2d(g, in(g, e.x), weights(g, {e.kh, e.kw, e.x[3]}, true),
                                        window(e.stride, e.pad, e.dilation));
                       Attrs attrs = g.nodes().back().attrs;
                       attrs.set(Attr::kMin, -1.0).set(Attr::kExpandMin, 0.0);
                       attrs.set(Attr::kExpandMax, 2.0);
                       const std::int64_t expanded = e.x[3] + 15;
                       return g.append(
                           OpKind::kExpandedDepthwiseConv2d,
                           {in(g, e.x), weights(g, {1, 1, e.x[3], expanded}, true),
                            in(g, {expanded}), in(g, {e.kh, e.kw, expanded}), in(g, {expanded})},
                           attrs);
                     }});
    cases.push_back({concat("depthwise_fused_", i), [=](Graph& g) {
                       depthwise_conv2d(g, in(g, e.x), weights(g, {e.kh, e.kw, e.x[3]}, true),
                                        window(e.stride, e.pad, e.dilation));
                       Attrs attrs = g.nodes().back().attrs;
                       attrs.set(Attr::kMin, 0.0);
                       const auto inputs = g.nodes().back().inputs;
                       return g.append(OpKind::kDepthwiseConv2d,
                                       {inputs[0], inputs[1], in(g, {e.x[3]})}, attrs);
                     }});
  }
}

void add_elementwise(std::vector<Case>& cases) {
  for (const Shape& shape :
       {Shape{}, Shape{1}, Shape{7}, Shape{3, 37}, Shape{2, 3, 4, 5}, Shape{70, 100}}) {
    const auto add_unary = [&](const char* name, auto op) {
      cases.push_back({concat(name, shape), [=](Graph& g) { return op(g, in(g, shape)); }});
    };
    add_unary("neg", neg);
    add_unary("exp", exp);
    add_unary("tanh", tanh);
    add_unary("sigmoid", sigmoid);
    add_unary("log", [](Graph& g, ValueId x) { return log(g, shift(g, x, 1.5)); });
    add_unary("sqrt", [](Graph& g, ValueId x) { return sqrt(g, shift(g, x, 1.5)); });
    add_unary("clamp", [](Graph& g, ValueId x) { return clamp(g, x, -0.25, 0.5); });
    add_unary("relu", relu);
    add_unary("clamp_gradient",
              [=](Graph& g, ValueId x) { return clamp_gradient(g, x, in(g, shape), -0.25, 0.5); });
    for (const OpKind op : {OpKind::kAdd, OpKind::kSub, OpKind::kMul, OpKind::kDiv}) {
      const auto safe = [](Graph& g, ValueId x) { return shift(g, x, 3.0); };
      cases.push_back({concat(op_name(op), shape), [=](Graph& g) {
                         return g.append(op, {in(g, shape), safe(g, in(g, shape))});
                       }});
      cases.push_back({concat(op_name(op), "_one", shape), [=](Graph& g) {
                         return g.append(op, {in(g, shape), safe(g, in(g, {}))});
                       }});
      cases.push_back({concat(op_name(op), "_from_one", shape), [=](Graph& g) {
                         return g.append(op, {in(g, {}), safe(g, in(g, shape))});
                       }});
      if (shape.rank() < 2) continue;
      const Shape row{shape.back()};
      cases.push_back({concat(op_name(op), "_row", shape), [=](Graph& g) {
                         return g.append(op, {in(g, shape), safe(g, in(g, row))});
                       }});
      cases.push_back({concat(op_name(op), "_from_row", shape), [=](Graph& g) {
                         return g.append(op, {in(g, row), safe(g, in(g, shape))});
                       }});
      cases.push_back(
          {concat(op_name(op), "_column", shape), [=](Graph& g) {
             return g.append(op, {in(g, shape), safe(g, in(g, shape.with(shape.rank() - 1, 1)))});
           }});
    }
    for (const double momentum : {0.0, 0.9}) {
      for (const bool nesterov : {false, true}) {
        cases.push_back({concat("sgd", shape, momentum, nesterov), [=](Graph& g) {
                           const SgdStep next =
                               sgd_step(g, in(g, shape), in(g, shape), in(g, shape), in(g, {}),
                                        momentum, 0.01, nesterov);
                           return add(g, next.weights, next.velocity);
                         }});
      }
    }
    cases.push_back(
        {concat("sgd_plain", shape), [=](Graph& g) {
           return sgd_step(g, in(g, shape), in(g, shape), kNoValue, in(g, {}), 0, 0.01).weights;
         }});
    const auto squares = [=](Graph& g) {
      const ValueId x = in(g, shape);
      return mul(g, x, x);
    };
    cases.push_back({concat("adagrad", shape), [=](Graph& g) {
                       const ScaledStep next = adagrad_step(g, in(g, shape), in(g, shape),
                                                            squares(g), in(g, {}), 1e-3, 0.01);
                       return add(g, next.weights, next.squares);
                     }});
    cases.push_back({concat("rmsprop", shape), [=](Graph& g) {
                       const ScaledStep next = rmsprop_step(g, in(g, shape), in(g, shape),
                                                            squares(g), in(g, {}), 0.9, 1e-3, 0.01);
                       return add(g, next.weights, next.squares);
                     }});
    // Below a rate of zero nothing happens.
    for (const double offset : {-3.0, 3.0}) {
      cases.push_back({concat("ftrl", shape, offset), [=](Graph& g) {
                         const ValueId sums = in(g, shape), rate = shift(g, in(g, {}), offset);
                         const FtrlStep next = ftrl_step(g, in(g, shape), in(g, shape), sums,
                                                         squares(g), rate, 0.5, 0.1, 0.2);
                         return add(g, next.weights, add(g, next.sums, next.squares));
                       }});
    }
    cases.push_back({concat("adam", shape), [=](Graph& g) {
                       const ValueId square = mul(g, in(g, shape), in(g, shape));
                       return adam_step(g, in(g, shape), in(g, shape), in(g, shape),
                                        mul(g, square, square), in(g, {}), shift(g, in(g, {}), 3.0))
                           .weights;
                     }});
  }
}

// Operands that are repeated along any axes of the other.
void add_repetitions(std::vector<Case>& cases) {
  const std::vector<std::pair<Shape, Shape>> pairs = {
      {{20, 1, 37}, {1, 9, 37}},  {{20, 9, 1}, {1, 9, 37}},
      {{20, 9, 37}, {20, 1, 37}}, {{2, 1, 5, 1}, {7, 1, 3}},
      {{4, 1}, {1, 33}},          {{1, 6, 1, 5}, {3, 6, 70, 5}},
      {{0, 3}, {1, 3}},           {{3, 1, 4, 1, 2}, {1, 5, 1, 6, 1}}};
  for (const OpKind op : {OpKind::kAdd, OpKind::kSub, OpKind::kMul, OpKind::kDiv}) {
    for (const auto& [a, b] : pairs) {
      cases.push_back({concat(op_name(op), a, b), [=](Graph& g) {
                         return g.append(op, {in(g, a), shift(g, in(g, b), 3.0)});
                       }});
    }
  }
}

void add_concats(std::vector<Case>& cases) {
  for (const std::int64_t axis : {0, 1, 2}) {
    cases.push_back({concat("concat", axis), [=](Graph& g) {
                       const Shape shape{3, 5, 17};
                       const auto at = static_cast<std::size_t>(axis);
                       const std::vector<ValueId> parts = {in(g, shape), in(g, shape.with(at, 1)),
                                                           in(g, shape.with(at, 40))};
                       return concat(g, parts, axis);
                     }});
  }
}

void add_others(std::vector<Case>& cases) {
  for (const Shape& shape :
       {Shape{1, 1}, Shape{5, 3}, Shape{4, 16}, Shape{3, 100}, Shape{2, 2, 33}}) {
    cases.push_back({concat("softmax", shape),
                     [=](Graph& g) { return softmax(g, scale(g, in(g, shape), 5)); }});
    cases.push_back({concat("log_softmax", shape),
                     [=](Graph& g) { return log_softmax(g, scale(g, in(g, shape), 5)); }});
  }
  const std::vector<std::vector<std::int64_t>> permutations = {
      {0, 1, 2, 3}, {0, 2, 3, 1}, {0, 3, 1, 2}, {3, 2, 1, 0}, {1, 0, 2, 3}, {0, 2, 1, 3}};
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{1, 17, 9, 3}, Shape{4, 1, 1, 6}}) {
    for (const auto& p : permutations) {
      cases.push_back({concat("transpose", shape, p[0], p[1], p[2], p[3]),
                       [=](Graph& g) { return transpose(g, in(g, shape), p); }});
    }
    for (const Shape& to : {Shape{}, Shape{shape[3]}, Shape{shape[0], 1, 1, shape[3]},
                            Shape{shape[0], shape[1], shape[2], 1}, Shape{1, shape[1], 1, shape[3]},
                            Shape{shape[1], 1, 1}}) {
      cases.push_back(
          {concat("sum_to", shape, to), [=](Graph& g) { return sum_to(g, in(g, shape), to); }});
      cases.push_back({concat("broadcast_to", shape, to),
                       [=](Graph& g) { return broadcast_to(g, in(g, to), shape); }});
    }
  }
  // Long sums, of whole numbers so that their order does not matter.
  for (const std::int64_t inner : {1, 3, 37, 200}) {
    const Shape shape{2, 4100, inner};
    cases.push_back({concat("sum_to", shape), [=](Graph& g) {
                       return sum_to(g, floor(g, scale(g, in(g, shape), 8.0)), Shape{2, 1, inner});
                     }});
  }
  for (const std::int64_t axis : {0, 1, 2}) {
    cases.push_back({concat("gather", axis), [=](Graph& g) {
                       const ValueId indices =
                           g.constant(Tensor::from<std::int64_t>({2, 3}, {0, 4, -1, 3, 99, -5}));
                       return gather(g, in(g, {5, 6, 7}), indices, axis);
                     }});
  }
  // Rows named twice and more, from the end, and from outside.
  for (const std::int64_t inner : {1, 7, 64}) {
    cases.push_back({concat("coalesce_rows", inner), [=](Graph& g) {
                       const std::vector<std::int64_t> named = {3, 8, -1, 3, 99, 0, 8, 3, -9, -10};
                       const ValueId indices = g.constant(Tensor::from<std::int64_t>({10}, named));
                       const CoalescedRows once = coalesce_rows(g, indices, in(g, {10, inner}), 9);
                       const ValueId rows = cast(g, once.rows, DType::kF32);
                       return add(g, once.values, reshape(g, rows, {10, 1}));
                     }});
  }
  for (const std::int64_t stride : {1, 2}) {
    for (const std::int64_t pad : {0, 1}) {
      const Shape x{2, 7, 6, stride == 1 ? 5 : 23};
      cases.push_back({concat("max_pool", stride, pad), [=](Graph& g) {
                         return max_pool(g, in(g, x), {3, 2}, window(stride, pad));
                       }});
      cases.push_back({concat("avg_pool", stride, pad), [=](Graph& g) {
                         return avg_pool(g, in(g, x), {3, 2}, window(stride, pad));
                       }});
      cases.push_back({concat("avg_pool_padding", stride, pad), [=](Graph& g) {
                         return avg_pool(g, in(g, x), {2, 3}, window(stride, pad), true);
                       }});
      cases.push_back(
          {concat("max_pool_gradient", stride, pad), [=](Graph& g) {
             const ValueId image = in(g, x);
             const ValueId y = max_pool(g, image, {2, 2}, window(stride, pad));
             return g.append(OpKind::kMaxPoolGradient, {image, y}, g.nodes().back().attrs);
           }});
    }
  }
}

void add_recurrent(std::vector<Case>& cases) {
  for (const std::int64_t d : {1, 5, 16, 33}) {
    for (const std::int64_t t : {1, 7}) {
      cases.push_back({concat("gru_", d, "_", t), [=](Graph& g) {
                         return gru(g, in(g, {t, 3 * d}), in(g, {d, 3 * d}), in(g, {1, d}));
                       }});
      cases.push_back({concat("gru_gradient_", d, "_", t), [=](Graph& g) {
                         const ValueId first = g.append(
                             OpKind::kGruGradient, {in(g, {t, 3 * d}), in(g, {d, 3 * d}),
                                                    in(g, {1, d}), in(g, {t, d}), in(g, {t, d})});
                         const std::vector<ValueId> all = {
                             reshape(g, first, {1, 3 * d * t}),
                             reshape(g, Graph::result_of(first, 1), {1, 3 * d * d}),
                             Graph::result_of(first, 2)};
                         return concat(g, all, 1);
                       }});
    }
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  add_matmuls(cases);
  add_convolutions(cases);
  add_elementwise(cases);
  add_others(cases);
  add_recurrent(cases);
  add_repetitions(cases);
  add_concats(cases);
  return cases;
}

TEST(Kernels, EveryRowAgreesWithTheReferenceOnEveryInstructionSet) {
  const auto cases = all_cases();
  std::set<std::string> seen;
  for (std::int64_t targets = hwy::SupportedTargets() & ~HWY_SCALAR; targets != 0;
       targets &= targets - 1) {
    hwy::SetSupportedTargetsForTest(targets & -targets);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      Graph g;
      g.output("y", cases[i].build(g));
      ASSERT_TRUE(g.status()) << cases[i].name << ": " << g.status().error().message;
      const auto expected = test::run(g, {.optimize = false, .reference_only = true}, i);
      std::vector<std::string> kernels;
      const auto one = test::run(g, {.threads = 1, .optimize = false}, i, &kernels);
      const auto three = test::run(g, {.threads = 3, .optimize = false}, i);
      // Sums of up to 500 products below one in f32: a few hundred units in the last place of the
      // result's scale. Winograd's transforms multiply rounding by up to ten.
      const bool transforms = std::any_of(kernels.begin(), kernels.end(), [](const auto& name) {
        return name.find("winograd") != std::string::npos;
      });
      EXPECT_LT(test::difference(one, expected), transforms ? 1e-5 : 3e-6)
          << cases[i].name << " on " << hwy::TargetName(targets & -targets);
      EXPECT_EQ(one, three) << cases[i].name;
      seen.insert(kernels.begin(), kernels.end());
    }
  }
  hwy::SetSupportedTargetsForTest(0);
  for (const Kernel& row : cpu_kernels())
    EXPECT_TRUE(seen.count(row.name)) << "no case runs " << row.name;
}

// A clamp inside a linear kernel must not turn the NaN of weights that went wrong into a number.
TEST(Kernels, FusedClampsKeepNaN) {
  const auto nan_weights = [](const Shape& shape) {
    Tensor tensor = Tensor::zeros({DType::kF32, shape});
    for (float& v : tensor.mutable_data<float>()) v = NAN;
    return tensor;
  };
  for (std::int64_t targets = hwy::SupportedTargets() & ~HWY_SCALAR; targets != 0;
       targets &= targets - 1) {
    hwy::SetSupportedTargetsForTest(targets & -targets);
    Graph g;
    const ValueId x = g.input("x", {DType::kF32, {1, 9, 9, 3}});
    const ValueId wide = g.constant(nan_weights({3, 3, 3, 40}));
    const ValueId narrow = g.constant(nan_weights({3, 3, 3, 4}));
    const ValueId depthwise = g.constant(nan_weights({3, 3, 3}));
    g.output("wide", relu(g, conv2d(g, x, wide, {})));
    g.output("narrow", relu(g, conv2d(g, x, narrow, {})));
    g.output("depthwise", relu(g, depthwise_conv2d(g, x, depthwise, {})));
    for (const auto& values : test::run(g, {}, 1)) {
      for (const float v : values)
        ASSERT_TRUE(std::isnan(v)) << hwy::TargetName(targets & -targets);
    }
  }
  hwy::SetSupportedTargetsForTest(0);
}

// What fast approximations get wrong first: zeros, infinities, NaN, and arguments far outside the
// range of the result.
TEST(Kernels, ElementwiseRowsAgreeWithTheReferenceAtTheEdges) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::vector<float> edges = {0.0f,   -0.0f,  kInf,  -kInf, NAN,    1e-30f,  -1e-30f,  1e-42f,
                                    88.7f,  -87.3f, 89.0f, 44.5f, -44.5f, 1000.0f, -1000.0f, 3e38f,
                                    -3e38f, 1.0f,   -1.0f, 9.1f,  -9.1f,  103.9f,  -103.9f};
  const auto size = static_cast<std::int64_t>(edges.size());
  const auto evaluate = [&](ValueId (*op)(Graph&, ValueId), bool reference) {
    Graph g;
    g.output("y", op(g, g.input("x", {DType::kF32, {size}})));
    auto session = Session::create(g, {.optimize = false, .reference_only = reference});
    const auto x = session->input("x")->span<float>();
    std::copy(edges.begin(), edges.end(), x.begin());
    session->run();
    const auto y = session->output("y")->span<float>();
    return std::vector<float>(y.begin(), y.end());
  };
  const std::pair<const char*, ValueId (*)(Graph&, ValueId)> ops[] = {
      {"neg", neg},   {"exp", exp},         {"log", log},  {"sqrt", sqrt},
      {"tanh", tanh}, {"sigmoid", sigmoid}, {"relu", relu}};
  for (std::int64_t targets = hwy::SupportedTargets() & ~HWY_SCALAR; targets != 0;
       targets &= targets - 1) {
    hwy::SetSupportedTargetsForTest(targets & -targets);
    for (const auto& [name, op] : ops) {
      const auto got = evaluate(op, false), expected = evaluate(op, true);
      for (std::size_t i = 0; i < edges.size(); ++i) {
        const std::string where =
            concat(name, "(", edges[i], ") on ", hwy::TargetName(targets & -targets));
        if (std::isnan(expected[i])) {
          EXPECT_TRUE(std::isnan(got[i])) << where << " is " << got[i];
        } else if (std::isinf(expected[i])) {
          EXPECT_EQ(got[i], expected[i]) << where;
        } else {
          // A few units in the last place; subnormal results may be flushed to zero.
          EXPECT_NEAR(got[i], expected[i], 1e-6f * std::abs(expected[i]) + 1.2e-38f) << where;
        }
      }
    }
  }
  hwy::SetSupportedTargetsForTest(0);
}

}  // namespace
}  // namespace inkling
