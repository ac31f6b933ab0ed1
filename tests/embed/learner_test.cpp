// The learner of the C interface, as an app uses it.

#include <gmock/gmock.h>

#include <array>
#include <cmath>

#include "embed/inkling.h"
#include "runtime/base/rng.h"
#include "runtime/model.h"
#include "runtime/ops.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr std::size_t kFloats = 4;
using Example = std::array<float, kFloats>;

Model classifier(double shift = 0) {
  Graph g;
  Tensor weights = Tensor::zeros({DType::kF32, {kFloats, 3}});
  Rng rng(1, "weights");
  for (float& w : weights.mutable_data<float>()) w = static_cast<float>(rng.normal() + shift);
  const ValueId x = g.input("x", {DType::kF32, {1, kFloats}});
  g.output("probabilities", softmax(g, add(g, matmul(g, x, g.constant(std::move(weights))),
                                           g.constant(Tensor::zeros({DType::kF32, Shape{3}})))));
  return {std::move(g), {}};
}

// Its largest number tells the class.
Example example(std::uint32_t label, std::uint64_t seed) {
  Rng rng(seed, "example", label);
  Example values{};
  for (float& v : values) v = static_cast<float>(0.2 * rng.normal());
  values[label] += 1;
  return values;
}

class EmbedLearner : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    model_ = (folder_ / "model.ink").string();
    ASSERT_TRUE(save_model(classifier(), model_));
    options_.struct_size = sizeof options_;
    options_.model = model_.c_str();
    options_.context = this;
    options_.steady_ms = [](void* self) { return ++static_cast<EmbedLearner*>(self)->now_ms_; };
  }
  void TearDown() override {
    ink_learner_close(learner_);
    ScratchTest::TearDown();
  }
  void open() {
    ink_learner_close(learner_);
    ASSERT_EQ(ink_learner_open(&options_, &learner_), INK_OK) << ink_learner_error(learner_);
  }
  void observe(std::uint64_t each) {
    for (std::uint64_t i = 0; i < each; ++i) {
      for (std::uint32_t label = 0; label < 3; ++label) {
        const Example e = example(label, i);
        ASSERT_EQ(ink_learner_observe(learner_, e.data(), e.size(), label), INK_OK);
      }
    }
  }
  std::array<float, 3> predict(std::uint32_t label) {
    std::array<float, 3> p{};
    const Example e = example(label, 1000);
    EXPECT_EQ(ink_learner_predict(learner_, e.data(), e.size(), p.data(), p.size()), INK_OK)
        << ink_learner_error(learner_);
    return p;
  }

  std::string model_;
  std::int64_t now_ms_ = 0;
  ink_learner_options options_{};
  ink_learner* learner_ = nullptr;
};

TEST_F(EmbedLearner, LearnsKeepsAndForgets) {
  open();
  std::size_t floats = 0, classes = 0;
  ASSERT_EQ(ink_learner_sizes(learner_, &floats, &classes), INK_OK);
  EXPECT_EQ(floats, kFloats);
  EXPECT_EQ(classes, 3u);
  observe(20);
  const auto before = predict(2);
  ink_learning learning{};
  learning.struct_size = sizeof learning;
  ASSERT_EQ(ink_learner_adapt(learner_, 0, 1 << 20, 300, 0.02, &learning), INK_OK)
      << ink_learner_error(learner_);
  EXPECT_EQ(learning.steps, 300u);
  EXPECT_EQ(learning.examples, 60u);
  EXPECT_LE(learning.memory_bytes, 1u << 20);
  EXPECT_LT(learning.last_loss, learning.first_loss);
  EXPECT_EQ(learning.out_of_time, 0);
  for (std::uint32_t label = 0; label < 3; ++label) EXPECT_GT(predict(label)[label], 0.7f);
  const auto learnt = predict(2);

  const std::string patch = (folder_ / "patch.ink").string();
  ASSERT_EQ(ink_learner_save_patch(learner_, patch.c_str()), INK_OK);
  ASSERT_EQ(ink_learner_forget(learner_, 1, 1), INK_OK);
  EXPECT_THAT(predict(2), ElementsAreArray(before));
  EXPECT_EQ(ink_learner_adapt(learner_, 0, 0, 0, 0, nullptr), INK_NOT_NOW);
  open();
  ASSERT_EQ(ink_learner_load_patch(learner_, patch.c_str()), INK_OK) << ink_learner_error(learner_);
  EXPECT_THAT(predict(2), ElementsAreArray(learnt));

  ASSERT_TRUE(save_model(classifier(0.1), model_));
  open();
  EXPECT_EQ(ink_learner_load_patch(learner_, patch.c_str()), INK_VERIFICATION);
  EXPECT_THAT(ink_learner_error(learner_), HasSubstr("SHA-256"));
}

TEST_F(EmbedLearner, StopsWhenItsTimeIsOver) {
  open();
  observe(5);
  ink_learning learning{};
  learning.struct_size = sizeof learning;
  ASSERT_EQ(ink_learner_adapt(learner_, 10, 0, 1000, 0, &learning), INK_OK);
  EXPECT_EQ(learning.steps, 9u);  // each look at the clock is a millisecond, planning takes one
  EXPECT_EQ(learning.out_of_time, 1);
}

TEST_F(EmbedLearner, LearnsClassesOfTheApp) {
  const std::array<const char*, 2> names = {"mine", "not mine"};
  options_.classes = names.data();
  options_.class_count = names.size();
  open();
  std::array<float, 2> p{};
  const Example e = example(0, 1);
  ASSERT_EQ(ink_learner_predict(learner_, e.data(), e.size(), p.data(), p.size()), INK_OK);
  EXPECT_THAT(p, ElementsAreArray({0.5f, 0.5f}));
}

TEST_F(EmbedLearner, RefusesWhatCannotBe) {
  EXPECT_EQ(ink_learner_open(nullptr, &learner_), INK_INVALID_ARGUMENT);
  EXPECT_EQ(ink_learner_open(&options_, nullptr), INK_INVALID_ARGUMENT);
  EXPECT_EQ(ink_learner_observe(nullptr, nullptr, 0, 0), INK_INVALID_ARGUMENT);
  ink_learner_options options = options_;
  options.model = "/nowhere.ink";
  EXPECT_EQ(ink_learner_open(&options, &learner_), INK_NOT_FOUND);
  ASSERT_NE(learner_, nullptr);
  EXPECT_THAT(ink_learner_error(learner_), HasSubstr("/nowhere.ink"));
  EXPECT_EQ(ink_learner_save_patch(learner_, "/tmp/x"), INK_NOT_NOW);
  ink_learner_close(learner_);
  options = options_;
  options.train = "everything";
  EXPECT_EQ(ink_learner_open(&options, &learner_), INK_INVALID_ARGUMENT);

  open();
  Example e = example(0, 1);
  std::array<float, 3> p{};
  EXPECT_EQ(ink_learner_observe(learner_, nullptr, kFloats, 0), INK_INVALID_ARGUMENT);
  EXPECT_EQ(ink_learner_observe(learner_, e.data(), 3, 0), INK_INVALID_ARGUMENT);
  EXPECT_EQ(ink_learner_observe(learner_, e.data(), kFloats, 3), INK_INVALID_ARGUMENT);
  EXPECT_EQ(ink_learner_predict(learner_, e.data(), kFloats, p.data(), 2), INK_INVALID_ARGUMENT);
  EXPECT_EQ(ink_learner_save_patch(learner_, (folder_ / "p").c_str()), INK_NOT_NOW);
  EXPECT_EQ(ink_learner_load_patch(learner_, (folder_ / "p").c_str()), INK_NOT_FOUND);
  EXPECT_EQ(ink_learner_load_patch(learner_, model_.c_str()), INK_CORRUPT);
  EXPECT_EQ(ink_learner_adapt(learner_, 0, 0, 0, 0, nullptr), INK_NOT_NOW);
  observe(1);
  EXPECT_EQ(ink_learner_adapt(learner_, 0, 64, 0, 0, nullptr), INK_RESOURCE_LIMIT);
  EXPECT_EQ(ink_learner_adapt(learner_, 0, 0, 0, std::nan(""), nullptr), INK_INVALID_ARGUMENT);
  e[1] = INFINITY;
  EXPECT_EQ(ink_learner_observe(learner_, e.data(), kFloats, 0), INK_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace inkling
