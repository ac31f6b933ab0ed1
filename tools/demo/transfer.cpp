#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "autograd/data/fashion_mnist.h"
#include "autograd/feature_cache.h"
#include "autograd/initial_values.h"
#include "autograd/losses.h"
#include "autograd/trainer.h"
#include "runtime/base/rng.h"
#include "runtime/ops.h"
#include "tools/console.h"
#include "tools/demo/stages.h"
#include "tools/measure.h"

namespace inkling::tools {

namespace {

constexpr std::int64_t kBatch = 64, kEvaluationBatch = 200, kFeatures = 128;
constexpr std::size_t kEpochs = 2, kPicturesPerClass = 20, kHeadSteps = 200;
constexpr std::array<std::uint8_t, 7> kSeen = {0, 1, 2, 4, 6, 7, 9};
constexpr std::array<std::uint8_t, 3> kNew = {3, 5, 8};  // dress, sandal, bag
constexpr std::array<std::uint8_t, 10> kAll = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

using Classes = std::span<const std::uint8_t>;

// Gives the value of a named parameter: a variable that is trained, or a constant that no longer
// is.
using Parameter = std::function<ValueId(Graph&, const char* name, const Shape& shape)>;

// Three convolutions, the last two halving the picture, and a dense layer: f32[n, 28, 28, 1] to
// f32[n, kFeatures].
ValueId base_features(Graph& g, ValueId x, const Parameter& parameter) {
  const auto layer = [&](ValueId in, const char* name, const char* bias, std::int64_t channels,
                         std::int64_t out, std::int64_t stride) {
    const ValueId y = conv2d(g, in, parameter(g, name, {3, 3, channels, out}),
                             {.strides = {stride, stride}, .pads = {1, 1, 1, 1}});
    return relu(g, add(g, y, parameter(g, bias, {out})));
  };
  ValueId y = layer(x, "conv1", "bias1", 1, 16, 1);
  y = layer(y, "conv2", "bias2", 16, 32, 2);
  y = layer(y, "conv3", "bias3", 32, 64, 2);
  y = reshape(g, y, {g.shape(x)[0], 7 * 7 * 64});
  return relu(g, add(g, matmul(g, y, parameter(g, "dense", {7 * 7 * 64, kFeatures})),
                     parameter(g, "bias4", {kFeatures})));
}

void fill_picture(const LabelledImages& data, std::size_t index, std::span<float> to) {
  const ByteSpan pixels = data.images.image(index);
  // Mean and standard deviation of the training pixels.
  std::transform(pixels.begin(), pixels.end(), to.begin(),
                 [](std::uint8_t v) { return (static_cast<float>(v) / 255.0f - 0.286f) / 0.353f; });
}

std::vector<std::size_t> members(const LabelledImages& data, Classes classes) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < data.labels.size(); ++i) {
    if (std::find(classes.begin(), classes.end(), data.labels[i]) != classes.end())
      indices.push_back(i);
  }
  return indices;
}

std::size_t class_position(Classes classes, std::uint8_t label) {
  return static_cast<std::size_t>(std::find(classes.begin(), classes.end(), label) -
                                  classes.begin());
}

void fill_target(Classes classes, std::uint8_t label, std::span<float> to) {
  std::fill(to.begin(), to.end(), 0.0f);
  to[class_position(classes, label)] = 1.0f;
}

// The base as it leaves training: its parameters by name.
struct Base {
  std::vector<ParameterSlice> slices;
  std::vector<float> values;

  Parameter frozen() const {
    return [this](Graph& g, const char* name, const Shape& shape) {
      for (const ParameterSlice& slice : slices) {
        if (slice.name != name) continue;
        const auto count = static_cast<std::size_t>(shape.elements());
        return g.constant(Tensor::from<float>(
            shape, std::span<const float>(values).subspan(slice.offset, count)));
      }
      return kNoValue;
    };
  }
};

Result<Base> train_base(const LabelledImages& train, const DemoOptions& options, Console& console,
                        TransferResult& result) {
  const auto start = steady_now();
  Graph g;
  std::vector<ValueId> trained;
  const Parameter variable = [&](Graph& graph, const char* name, const Shape& shape) {
    trained.push_back(graph.variable(name, he_normal(shape, options.seed, name)));
    return trained.back();
  };
  const auto classes = static_cast<std::int64_t>(kSeen.size());
  const ValueId x = g.input("pictures", {DType::kF32, {kBatch, 28, 28, 1}});
  const ValueId targets = g.input("targets", {DType::kF32, {kBatch, classes}});
  const ValueId features = base_features(g, x, variable);
  const ValueId logits = add(g, matmul(g, features, variable(g, "head", {kFeatures, classes})),
                             variable(g, "head_bias", {classes}));
  const ValueId loss = softmax_cross_entropy(g, logits, targets);
  INK_TRY(Trainer trainer, Trainer::create(std::move(g), {.loss = loss,
                                                          .train = trained,
                                                          .optimizer = Adam{},
                                                          .plan = {.threads = options.threads}}));
  INK_TRY(const TensorView pictures, trainer.input("pictures"));
  INK_TRY(const TensorView wanted, trainer.input("targets"));

  std::vector<std::size_t> order = members(train, kSeen);
  const std::size_t batches = order.size() / kBatch, total = batches * kEpochs;
  double sum = 0;
  for (std::size_t step = 0; step < total; ++step) {
    if (step % batches == 0) Rng(options.seed, "shuffle", step / batches).shuffle(order);
    for (std::size_t i = 0; i < kBatch; ++i) {
      const std::size_t index = order[step % batches * kBatch + i];
      fill_picture(train, index, pictures.span<float>().subspan(i * 784, 784));
      fill_target(kSeen, train.labels[index],
                  wanted.span<float>().subspan(i * kSeen.size(), kSeen.size()));
    }
    // One cosine from the full rate to none.
    const double progress = static_cast<double>(step) / static_cast<double>(total);
    const StepReport report =
        trainer.step(1.5e-3 * 0.5 * (1.0 + std::cos(progress * 3.14159265358979)));
    if (!report.finite)
      return fail(ErrorCode::kFailedPrecondition, "transfer: the loss is not finite at step ",
                  step);
    sum += report.loss;
    if ((step + 1) % kLossEvery == 0) {
      result.base_losses.push_back(sum / kLossEvery);
      sum = 0;
      console.progress(concat("training the base: step ", step + 1, " of ", total, ", loss ",
                              result.base_losses.back()));
    }
  }
  result.base_seconds = seconds_since(start);
  result.base_parameters = trainer.parameter_count();
  return Base{{trainer.parameters().begin(), trainer.parameters().end()}, trainer.get_parameters()};
}

// What a head is trained and measured on: rows of features with their labels.
struct Rows {
  Tensor features;
  std::vector<std::uint8_t> labels;
};

Result<Rows> features_of(Session& base, const LabelledImages& data,
                         std::span<const std::size_t> indices) {
  Rows rows;
  INK_TRY(rows.features, compute_features(base, "pictures", "features", indices.size(),
                                          [&](std::size_t row, std::span<float> to) {
                                            fill_picture(data, indices[row], to);
                                            return Result<void>();
                                          }));
  for (const std::size_t i : indices) rows.labels.push_back(data.labels[i]);
  return rows;
}

Result<Session> feature_session(const Base& base, const DemoOptions& options) {
  Graph g;
  const ValueId x = g.input("pictures", {DType::kF32, {kEvaluationBatch, 28, 28, 1}});
  const ValueId features = base_features(g, x, base.frozen());
  g.output("features", features);
  const auto classes = static_cast<std::int64_t>(kSeen.size());
  const Parameter frozen = base.frozen();
  g.output("logits", add(g, matmul(g, features, frozen(g, "head", {kFeatures, classes})),
                         frozen(g, "head_bias", {classes})));
  return Session::create(g, {.threads = options.threads});
}

// The share of rows whose largest logit is that of their label.
double accuracy(std::span<const float> logits, std::span<const std::uint8_t> labels,
                Classes classes) {
  std::size_t right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = logits.subspan(i * classes.size(), classes.size());
    const auto best =
        static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    right += best == class_position(classes, labels[i]);
  }
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

// Trains a linear head on all rows at once and returns its accuracy on `test`.
Result<double> head_accuracy(const Rows& train, const Rows& test, Classes classes,
                             const DemoOptions& options) {
  const auto count = static_cast<std::int64_t>(classes.size()),
             rows = static_cast<std::int64_t>(train.labels.size());
  Graph g;
  const ValueId features = g.constant(train.features.clone());
  const ValueId targets = g.input("targets", {DType::kF32, {rows, count}});
  const ValueId w = g.variable("head", Tensor::zeros({DType::kF32, {kFeatures, count}}));
  const ValueId b = g.variable("head_bias", Tensor::zeros({DType::kF32, {count}}));
  const ValueId loss = softmax_cross_entropy(g, add(g, matmul(g, features, w), b), targets);
  INK_TRY(Trainer trainer, Trainer::create(std::move(g), {.loss = loss,
                                                          .train = {w, b},
                                                          .optimizer = Adam{.weight_decay = 1e-2},
                                                          .plan = {.threads = options.threads}}));
  INK_TRY(const TensorView wanted, trainer.input("targets"));
  for (std::size_t i = 0; i < train.labels.size(); ++i) {
    fill_target(classes, train.labels[i],
                wanted.span<float>().subspan(i * classes.size(), classes.size()));
  }
  for (std::size_t step = 0; step < kHeadSteps; ++step) {
    if (!trainer.step(1e-2).finite)
      return fail(ErrorCode::kFailedPrecondition, "transfer: the head's loss is not finite");
  }
  const auto parameters = trainer.get_parameters();

  Graph scorer;
  const auto values = std::span<const float>(parameters);
  const ValueId head = scorer.constant(Tensor::from<float>(
      {kFeatures, count}, values.first(static_cast<std::size_t>(kFeatures * count))));
  const ValueId bias = scorer.constant(
      Tensor::from<float>({count}, values.subspan(static_cast<std::size_t>(kFeatures * count))));
  scorer.output("logits",
                add(scorer, matmul(scorer, scorer.constant(test.features.clone()), head), bias));
  INK_TRY(Session session, Session::create(scorer, {.threads = options.threads}));
  session.run();
  INK_TRY(const TensorView logits, session.output("logits"));
  return accuracy(logits.span<float>(), test.labels, classes);
}

// The first kPicturesPerClass pictures of each class in a seeded order of the training set.
std::vector<std::size_t> few_of_each(const LabelledImages& train, Classes classes,
                                     std::uint64_t seed) {
  std::vector<std::size_t> chosen;
  for (const std::uint8_t c : classes) {
    auto own = members(train, Classes(&c, 1));
    Rng(seed, "pictures", c).shuffle(own);
    chosen.insert(chosen.end(), own.begin(), own.begin() + kPicturesPerClass);
  }
  return chosen;
}

}  // namespace

Result<TransferResult> run_transfer(const DemoOptions& options, Console& console) {
  TransferResult result{.pictures_per_class = kPicturesPerClass};
  INK_TRY(const LabelledImages train, load_fashion_mnist(DataSplit::kTrain, options.fashion_mnist));
  INK_TRY(const LabelledImages test, load_fashion_mnist(DataSplit::kTest, options.fashion_mnist));
  INK_TRY(const Base base, train_base(train, options, console, result));

  console.progress("learning three new classes");
  INK_TRY(Session frozen, feature_session(base, options));
  const auto start = steady_now();
  INK_TRY(const Rows few_new, features_of(frozen, train, few_of_each(train, kNew, options.seed)));
  INK_TRY(const Rows few_all, features_of(frozen, train, few_of_each(train, kAll, options.seed)));
  INK_TRY(const Rows test_new, features_of(frozen, test, members(test, kNew)));
  INK_TRY(const Rows test_all, features_of(frozen, test, members(test, kAll)));
  INK_TRY(result.accuracy_three_new_classes, head_accuracy(few_new, test_new, kNew, options));
  INK_TRY(result.accuracy_ten_classes, head_accuracy(few_all, test_all, kAll, options));
  result.seconds = seconds_since(start);

  const auto seen = members(test, kSeen);
  std::vector<std::uint8_t> labels;
  for (const std::size_t i : seen) labels.push_back(test.labels[i]);
  INK_TRY(const Tensor logits, compute_features(frozen, "pictures", "logits", seen.size(),
                                                [&](std::size_t row, std::span<float> to) {
                                                  fill_picture(test, seen[row], to);
                                                  return Result<void>();
                                                }));
  result.base_accuracy_seven_classes = accuracy(logits.data<float>(), labels, kSeen);
  return result;
}

}  // namespace inkling::tools
