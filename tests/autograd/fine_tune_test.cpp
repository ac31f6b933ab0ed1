#include "autograd/fine_tune.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/initial_values.h"
#include "autograd/trained_values.h"
#include "autograd/trainer.h"
#include "runtime/base/rng.h"
#include "runtime/ops.h"
#include "runtime/passes/passes.h"
#include "runtime/session.h"

namespace inkling {
namespace {

Tensor random(Shape shape, std::uint64_t seed) {
  Tensor tensor = Tensor::zeros({DType::kF32, shape});
  Rng rng(seed, "values");
  for (float& v : tensor.mutable_data<float>()) v = static_cast<float>(0.5 * rng.normal());
  return tensor;
}

// A classifier as importers leave it: channels first, with a batch norm, a depthwise layer and a 1
// x 1 convolution as its last layer.
Graph classifier() {
  Graph g;
  const auto norm = [&](ValueId x, std::int64_t channels, std::uint64_t seed) {
    const ValueId scaled = mul(g, x, g.constant(random({1, channels, 1, 1}, seed)));
    return relu(g, add(g, scaled, g.constant(random({1, channels, 1, 1}, seed + 1))));
  };
  const auto conv = [&](ValueId x, std::int64_t in, std::int64_t out, std::uint64_t seed) {
    const ValueId y = conv2d(g, transpose(g, x, {0, 2, 3, 1}),
                             g.constant(random({3, 3, in, out}, seed)), {.pads = {1, 1, 1, 1}});
    return transpose(g, y, {0, 3, 1, 2});
  };
  ValueId x = g.input("image", {DType::kF32, {1, 3, 6, 6}});
  x = norm(conv(x, 3, 4, 1), 4, 2);
  g.label(x, "block1");
  x = norm(conv(x, 4, 5, 4), 5, 5);
  const std::int64_t spatial[] = {2, 3};
  x = mean_axes(g, x, spatial);
  x = conv2d(g, transpose(g, x, {0, 2, 3, 1}), g.constant(random({1, 1, 5, 7}, 8)), {});
  x = reshape(g, transpose(g, x, {0, 3, 1, 2}), {1, 7});
  g.output("probabilities", softmax(g, add(g, x, g.constant(random({7}, 9)))));
  return g;
}

std::vector<float> run(const Graph& graph, const char* input, const char* output) {
  auto session = Session::create(graph);
  EXPECT_TRUE(session) << session.error().message;
  const auto in = session->input(input)->span<float>();
  Rng rng(3, "inputs");
  for (float& v : in) v = static_cast<float>(rng.normal());
  session->run();
  const auto out = session->output(output)->span<float>();
  return {out.begin(), out.end()};
}

TEST(TrainChoice, ParsesWhatItPrints) {
  EXPECT_EQ(parse_train_choice("last:3")->count, 3u);
  EXPECT_EQ(parse_train_choice("lora:rank=4")->part, TrainPart::kLora);
  const auto some = parse_train_choice("lora:rank=4:last=8");
  ASSERT_TRUE(some);
  EXPECT_EQ(some->part, TrainPart::kLora);
  EXPECT_EQ(some->count, 4u);
  EXPECT_EQ(some->layers, 8u);
  for (const char* text : {"", "last", "last:", "last:0", "last:x", "lora:4", "lora:rank=2:last=0",
                           "lora:rank=:last=2", "lora:rank=2:last=", "last:2:last=1", "everything"})
    EXPECT_FALSE(parse_train_choice(text)) << text;
}

TEST(CutHead, KeepsWhatStandsBeforeTheLastLayer) {
  const auto base = cut_head(classifier());
  ASSERT_TRUE(base) << base.error().message;
  EXPECT_EQ(base->shape(base->find_output("features")), (Shape{1, 5}));
  for (const float v : run(*base, "image", "features")) EXPECT_GE(v, 0.0f);  // after a relu
}

TEST(CutHead, CutsWhereItIsTold) {
  const auto base = cut_head(classifier(), "block1");
  ASSERT_TRUE(base) << base.error().message;
  EXPECT_EQ(base->shape(base->find_output("features")), (Shape{1, 4}));
  const auto nowhere = cut_head(classifier(), "block9");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, ErrorCode::kNotFound);
}

TEST(CutHead, FoldsNormalisationsUnlessTheirScalesAreTrained) {
  EXPECT_FALSE(training_graph(*cut_head(classifier()), 2, {.train = {TrainPart::kLast, 0}}));
  const auto count = [](bool keep_scales) {
    const auto graph = training_graph(*cut_head(classifier(), {}, keep_scales), 2,
                                      {.classes = 3, .train = {TrainPart::kNorm}});
    EXPECT_TRUE(graph) << graph.error().message;
    return graph->train.size();
  };
  EXPECT_EQ(count(false), 2u + 2u);  // shifts, and the head
  EXPECT_EQ(count(true), 4u + 2u);
}

struct Choice {
  const char* text;
  std::vector<std::string> trained;
};

TEST(TrainingGraph, MakesVariablesOfWhatIsChosen) {
  const auto base = cut_head(classifier());
  ASSERT_TRUE(base);
  const std::vector<Choice> choices = {
      {"head", {"head/weights", "head/bias"}},
      {"bias", {"layer0/bias", "layer1/bias", "head/weights", "head/bias"}},
      {"last:1", {"layer1/weights", "layer1/bias", "head/weights", "head/bias"}},
      {"lora:rank=2",
       {"layer0/weights/lora_a", "layer0/weights/lora_b", "layer1/weights/lora_a",
        "layer1/weights/lora_b", "head/weights", "head/bias"}},
      {"lora:rank=2:last=1",
       {"layer1/weights/lora_a", "layer1/weights/lora_b", "head/weights", "head/bias"}},
      {"all",
       {"layer0/weights", "layer0/bias", "layer1/weights", "layer1/bias", "head/weights",
        "head/bias"}}};
  for (const Choice& choice : choices) {
    const auto graph =
        training_graph(*base, 4, {.classes = 3, .train = *parse_train_choice(choice.text)});
    ASSERT_TRUE(graph) << choice.text << ": " << graph.error().message;
    std::vector<std::string> names;
    for (const ValueId id : graph->train) names.push_back(graph->graph.value(id).name);
    EXPECT_EQ(names, choice.trained) << choice.text;
  }
}

// Two classes that differ in the mean of the picture.
void fill(Trainer& trainer, std::uint64_t step) {
  const auto images = trainer.input("image")->span<float>();
  const auto targets = trainer.input("targets")->span<float>();
  Rng rng(step, "pictures");
  const std::size_t pixels = images.size() / 8;
  std::fill(targets.begin(), targets.end(), 0.0f);
  for (std::size_t i = 0; i < 8; ++i) {
    const std::uint64_t label = rng.below(2);
    targets[i * 2 + label] = 1;
    for (float& v : images.subspan(i * pixels, pixels))
      v = static_cast<float>(rng.normal() + (label == 1 ? 0.7 : -0.7));
  }
}

TEST(TrainedGraph, GivesWhatTheTrainingGraphGives) {
  const auto base = cut_head(classifier());
  ASSERT_TRUE(base);
  for (const char* text : {"head", "bias", "last:1", "lora:rank=2", "all"}) {
    const FineTuneSpec spec{.classes = 2, .train = *parse_train_choice(text)};
    auto graph = training_graph(*base, 8, spec);
    ASSERT_TRUE(graph);
    auto trainer = Trainer::create(
        std::move(graph->graph), {.loss = graph->loss, .train = graph->train, .optimizer = Adam{}});
    ASSERT_TRUE(trainer) << text << ": " << trainer.error().message;
    double first = 0, last = 0;
    for (std::uint64_t step = 0; step < 60; ++step) {
      fill(*trainer, step);
      last = trainer->step(1e-2).loss;
      if (step == 0) first = last;
    }
    EXPECT_LT(last, 0.8 * first) << text;

    fill(*trainer, 1000);
    trainer->step(0);
    const auto logits = trainer->output("logits")->span<float>();
    const auto images = trainer->input("image")->span<float>();
    const TrainedValues values = values_by_name(trainer->parameters(), trainer->get_parameters());
    const auto trained = trained_graph(*base, spec, values);
    ASSERT_TRUE(trained) << text << ": " << trained.error().message;
    auto session = Session::create(*with_batch(*trained, 8));
    ASSERT_TRUE(session) << session.error().message;
    std::copy(images.begin(), images.end(), session->input("image")->span<float>().begin());
    session->run();
    const auto probabilities = session->output("probabilities")->span<float>();
    for (std::size_t i = 0; i < 8; ++i) {
      const double expected =
          1 / (1 + std::exp(static_cast<double>(logits[2 * i + 1] - logits[2 * i])));
      EXPECT_NEAR(probabilities[2 * i], expected, 1e-5) << text;
    }
  }
}

TEST(KeepHead, GivesWhatTheClassifierGives) {
  for (const bool keep_scales : {false, true}) {
    const auto base = keep_head(classifier(), keep_scales);
    ASSERT_TRUE(base) << base.error().message;
    const auto whole = trained_graph(*base, {}, {});
    ASSERT_TRUE(whole) << whole.error().message;
    const auto expected = run(classifier(), "image", "probabilities");
    const auto got = run(*whole, "image", "probabilities");
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-6);
  }
}

TEST(KeepHead, CallsTheLastLayerTheHead) {
  const auto base = keep_head(classifier());
  ASSERT_TRUE(base);
  const std::vector<Choice> choices = {{"head", {"head/weights", "head/bias"}},
                                       {"bias", {"layer0/bias", "layer1/bias", "head/bias"}},
                                       {"last:1", {"head/weights", "head/bias"}}};
  for (const Choice& choice : choices) {
    const auto graph = training_graph(*base, 4, {.train = *parse_train_choice(choice.text)});
    ASSERT_TRUE(graph) << choice.text << ": " << graph.error().message;
    std::vector<std::string> names;
    for (const ValueId id : graph->train) names.push_back(graph->graph.value(id).name);
    EXPECT_EQ(names, choice.trained) << choice.text;
  }
}

TEST(KeepHead, RefusesWhatDoesNotEndInASoftmax) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {1, 4}});
  g.output("y", matmul(g, x, g.constant(random({4, 3}, 1))));
  EXPECT_EQ(keep_head(g).error().code, ErrorCode::kUnsupported);
}

TEST(SplitHead, GivesInTwoPartsWhatTheWholeGives) {
  const auto base = keep_head(classifier());
  ASSERT_TRUE(base);
  const auto split = split_head(*base);
  ASSERT_TRUE(split) << split.error().message;
  const auto features = run(split->before, "image", "features");
  auto session = Session::create(split->head);
  ASSERT_TRUE(session) << session.error().message;
  const auto in = session->input("features")->span<float>();
  ASSERT_EQ(in.size(), features.size());
  std::copy(features.begin(), features.end(), in.begin());
  session->run();
  const auto expected = run(*base, "image", "logits");
  const auto got = session->output("logits")->span<float>();
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-5);
}

TEST(TrainedGraph, RefusesAHeadThatIsMissingOrOfAnotherShape) {
  const auto base = cut_head(classifier());
  ASSERT_TRUE(base);
  EXPECT_FALSE(trained_graph(*base, {.classes = 2}, {}));
  TrainedValues values;
  values["head/weights"] = Tensor::zeros({DType::kF32, {4, 2}});
  values["head/bias"] = Tensor::zeros({DType::kF32, {2}});
  EXPECT_FALSE(trained_graph(*base, {.classes = 2}, values));
}

TEST(Reinitialize, KeepsTheArchitectureAndForgetsTheWeights) {
  const auto base = cut_head(classifier());
  ASSERT_TRUE(base);
  const auto fresh = reinitialize(*base, 5);
  ASSERT_TRUE(fresh);
  EXPECT_EQ(fresh->nodes().size(), base->nodes().size());
  EXPECT_NE(run(*fresh, "image", "features"), run(*base, "image", "features"));
  EXPECT_EQ(run(*fresh, "image", "features"), run(*reinitialize(*base, 5), "image", "features"));
}

}  // namespace
}  // namespace inkling
