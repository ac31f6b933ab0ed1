#include "autograd/learner.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>

#include "runtime/base/rng.h"
#include "runtime/ops.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kPixels = 6 * 6 * 3;

Tensor random(Shape shape, std::uint64_t seed) {
  Tensor tensor = Tensor::zeros({DType::kF32, shape});
  Rng rng(seed, "values");
  for (float& v : tensor.mutable_data<float>()) v = static_cast<float>(0.3 * rng.normal());
  return tensor;
}

// Two convolutions and a last layer for three classes.
Model classifier(std::uint64_t seed = 1) {
  Graph g;
  ValueId x = g.input("image", {DType::kF32, {1, 6, 6, 3}});
  for (const std::int64_t in : {3, 8}) {
    x = conv2d(g, x, g.constant(random({3, 3, in, 8}, seed + static_cast<std::uint64_t>(in))),
               {.pads = {1, 1, 1, 1}});
    x = relu(g, add(g, x, g.constant(random({8}, seed + 20))));
  }
  const std::int64_t spatial[] = {1, 2};
  x = reshape(g, mean_axes(g, x, spatial), {1, 8});
  g.label(x, "pooled");
  x = add(g, matmul(g, x, g.constant(random({8, 3}, seed + 30))),
          g.constant(random({3}, seed + 31)));
  g.output("probabilities", softmax(g, x));
  return {std::move(g), {{"labels", "cat\ndog\nfox"}}};
}

// A picture whose colour tells its class, in another way than the model thinks.
std::vector<float> picture(std::uint32_t label, std::uint64_t seed) {
  std::vector<float> pixels(kPixels);
  Rng rng(seed, "picture", label);
  for (std::size_t i = 0; i < kPixels; ++i)
    pixels[i] = static_cast<float>(0.3 * rng.normal() + (i % 3 == label ? 1.0 : 0.0));
  return pixels;
}

// Adds up what tensors and arenas take.
struct Counter {
  std::size_t now = 0, most = 0;
  static void* take(void* self, std::size_t bytes, std::size_t alignment) {
    auto& c = *static_cast<Counter*>(self);
    c.now += bytes;
    c.most = std::max(c.most, c.now);
    auto* block = static_cast<std::byte*>(
        std::aligned_alloc(alignment, alignment + (bytes + alignment - 1) / alignment * alignment));
    std::memcpy(block, &bytes, sizeof bytes);
    return block + alignment;
  }
  static void give(void* self, void* block) {
    auto* begin = static_cast<std::byte*>(block) - kTensorAlignment;
    std::size_t bytes = 0;
    std::memcpy(&bytes, begin, sizeof bytes);
    static_cast<Counter*>(self)->now -= bytes;
    std::free(begin);
  }
};

class LearnerTest : public ScratchTest {
 protected:
  Path model(std::uint64_t seed = 1) {
    const Path path = folder_ / concat("model", seed, ".ink");
    EXPECT_TRUE(save_model(classifier(seed), path));
    return path;
  }
  Learner open(LearnerOptions options = {}, std::uint64_t seed = 1) {
    auto learner = Learner::open(model(seed), options, clock_);
    EXPECT_TRUE(learner) << learner.error().message;
    return *std::move(learner);
  }
  static void show(Learner& learner, std::size_t each = 10) {
    for (std::size_t i = 0; i < each; ++i) {
      for (std::uint32_t label = 0; label < learner.classes().size(); ++label)
        ASSERT_TRUE(learner.observe(picture(label, i), label));
    }
  }
  static std::vector<float> predict(Learner& learner, std::uint32_t label,
                                    std::uint64_t seed = 99) {
    const auto p = learner.predict(picture(label, seed));
    EXPECT_TRUE(p) << p.error().message;
    return {p->begin(), p->end()};
  }
  static double accuracy(Learner& learner) {
    double right = 0;
    for (std::uint64_t i = 0; i < 20; ++i) {
      for (std::uint32_t label = 0; label < 3; ++label) {
        const auto p = predict(learner, label, 1000 + i);
        right += std::max_element(p.begin(), p.end()) - p.begin() == label;
      }
    }
    return right / 60;
  }
  VirtualClock clock_;
};

TEST_F(LearnerTest, BeginsAsTheModelIs) {
  auto session = Session::create(classifier().graph);
  ASSERT_TRUE(session);
  const auto pixels = picture(1, 99);
  std::copy(pixels.begin(), pixels.end(), session->input("image")->span<float>().begin());
  session->run();
  const auto expected = session->output("probabilities")->span<float>();
  for (const char* train : {"head", "bias", "last:2", "lora:rank=2", "all"}) {
    Learner learner = open({.train = train});
    EXPECT_FALSE(learner.has_patch());
    const auto p = predict(learner, 1);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(p[i], expected[i], 1e-6) << train;
  }
}

TEST_F(LearnerTest, LearnsWhatItObserves) {
  for (const char* train : {"head", "last:2", "lora:rank=2", "all"}) {
    Learner learner = open({.train = train});
    show(learner);
    const double before = accuracy(learner);
    const auto report = learner.adapt({.steps_max = 300, .rate = 2e-2});
    ASSERT_TRUE(report) << train << ": " << report.error().message;
    EXPECT_EQ(report->steps, 300u);
    EXPECT_FALSE(report->out_of_time);
    EXPECT_LT(report->last_loss, report->first_loss) << train;
    EXPECT_LT(before, 0.8) << train;
    EXPECT_GT(accuracy(learner), 0.95) << train;
    ASSERT_TRUE(learner.drop_patch());
    EXPECT_EQ(accuracy(learner), before) << train;
  }
}

TEST_F(LearnerTest, LearnsClassesOfItsOwn) {
  Learner learner = open({.classes = {"red", "green", "blue"}, .features = "pooled"});
  EXPECT_EQ(predict(learner, 0), (std::vector<float>(3, 1.0f / 3)));
  show(learner);
  ASSERT_TRUE(learner.adapt({.steps_max = 300, .rate = 2e-2}));
  EXPECT_GT(accuracy(learner), 0.95);
}

TEST_F(LearnerTest, APatchBringsBackEveryBit) {
  for (const char* train : {"head", "bias", "lora:rank=2"}) {
    for (const auto& classes :
         {std::vector<std::string>{}, std::vector<std::string>{"red", "green", "blue"}}) {
      const LearnerOptions options{.train = train, .classes = classes};
      Learner learner = open(options);
      EXPECT_EQ(learner.save_patch().error().code, ErrorCode::kFailedPrecondition);
      show(learner);
      ASSERT_TRUE(learner.adapt({.steps_max = 20, .rate = 1e-2}));
      const auto patch = learner.save_patch();
      ASSERT_TRUE(patch) << patch.error().message;
      Learner again = open(options);
      ASSERT_NE(predict(again, 2), predict(learner, 2));
      const auto loaded = again.load_patch(*patch);
      ASSERT_TRUE(loaded) << train << ": " << loaded.error().message;
      EXPECT_EQ(predict(again, 2), predict(learner, 2)) << train;
      EXPECT_EQ(*again.save_patch(), *patch) << train;
    }
  }
}

TEST_F(LearnerTest, GoesOnFromAPatch) {
  Learner learner = open();
  show(learner);
  const auto first = learner.adapt({.steps_max = 100, .rate = 1e-2});
  const auto patch = learner.save_patch();
  Learner again = open();
  show(again);
  ASSERT_TRUE(again.load_patch(*patch));
  const auto second = again.adapt({.steps_max = 1});
  ASSERT_TRUE(second);
  EXPECT_LT(second->first_loss, 0.9 * first->first_loss);
}

TEST_F(LearnerTest, RefusesAPatchThatIsNotItsOwn) {
  Learner learner = open();
  show(learner);
  ASSERT_TRUE(learner.adapt({.steps_max = 5}));
  const Bytes patch = *learner.save_patch();
  const auto before = predict(learner, 0);
  const auto code = [&](Learner to, const Bytes& file) {
    const auto loaded = to.load_patch(file);
    EXPECT_FALSE(loaded);
    EXPECT_FALSE(to.has_patch());
    return loaded ? ErrorCode::kIo : loaded.error().code;
  };
  EXPECT_EQ(code(open({}, 2), patch), ErrorCode::kVerification);
  EXPECT_EQ(code(open({.train = "bias"}), patch), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(open({.classes = {"a", "b", "c"}}), patch), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(open(), *encode_model(classifier())), ErrorCode::kCorrupt);
  EXPECT_EQ(code(open(), {}), ErrorCode::kCorrupt);
  for (std::size_t at = 0; at < patch.size(); at += 7) {
    Bytes damaged = patch;
    damaged[at] ^= 0x10;
    EXPECT_FALSE(learner.load_patch(damaged)) << at;
    damaged.resize(at);
    EXPECT_FALSE(learner.load_patch(damaged)) << at;
  }
  EXPECT_EQ(predict(learner, 0), before);

  // A well-formed file whose values are not what this learner trains.
  const auto file = std::make_shared<const Bytes>(patch);
  const auto model = decode_model(*file, file);
  for (const char* extra : {"head/bias", "layer9/weights"}) {
    ModelPatch other = *read_patch(*model, model->metadata.at("patch_base"));
    other.values.erase(extra);
    other.values.emplace(extra, Tensor::zeros({DType::kF32, Shape{2}}));
    EXPECT_EQ(learner.load_patch(*encode_model(*patch_model(other))).error().code,
              ErrorCode::kCorrupt);
  }
}

TEST_F(LearnerTest, GivesTheSameBitsOnAnyNumberOfThreadsAndAgain) {
  const auto learnt = [&](unsigned threads, std::uint64_t seed) {
    Learner learner =
        open({.train = "all", .examples_max = 16, .seed = seed, .plan = {.threads = threads}});
    show(learner);
    EXPECT_TRUE(learner.adapt({.steps_max = 10}));
    EXPECT_TRUE(learner.adapt({.steps_max = 10}));
    return *learner.save_patch();
  };
  EXPECT_EQ(learnt(1, 1), learnt(1, 1));
  EXPECT_EQ(learnt(1, 1), learnt(2, 1));
  EXPECT_NE(learnt(1, 1), learnt(1, 2));
}

// A clock on which every look takes a while.
class SlowClock final : public Clock {
 public:
  explicit SlowClock(std::int64_t step_ms) : step_ms_(step_ms) {}
  std::int64_t unix_ms() const override { return 0; }
  std::int64_t steady_ms() const override { return now_ += step_ms_; }

 private:
  std::int64_t step_ms_;
  mutable std::int64_t now_ = 0;
};

TEST_F(LearnerTest, StopsBeforeTheStepThatWouldEndTooLate) {
  const SlowClock clock(10);
  auto learner = Learner::open(model(), {}, clock);
  ASSERT_TRUE(learner);
  show(*learner);
  // Planning ends after 10 ms, each step 10 ms later.
  for (const auto& [budget, steps] :
       {std::pair<std::int64_t, std::size_t>{5, 1}, {29, 1}, {30, 2}, {109, 9}, {110, 10}}) {
    const auto report = learner->adapt({.budget_ms = budget, .steps_max = 10});
    ASSERT_TRUE(report);
    EXPECT_EQ(report->steps, steps) << budget;
    EXPECT_EQ(report->out_of_time, steps < 10) << budget;
  }
}

TEST_F(LearnerTest, StaysWithinItsMemory) {
  for (const char* train : {"head", "bias", "lora:rank=2", "all"}) {
    Counter counter;
    ASSERT_TRUE(set_block_allocator({Counter::take, Counter::give, &counter}));
    {
      Learner learner = open({.train = train});
      show(learner);
      const auto whole = learner.adapt({.steps_max = 2});
      ASSERT_TRUE(whole) << train << ": " << whole.error().message;
      EXPECT_EQ(whole->batch, 16u);
      EXPECT_EQ(whole->segments, 1u);
      std::string refusal;
      std::size_t allowed = 0, batches = 0, before = 17;
      for (std::size_t limit = whole->memory_bytes;; limit = limit * 9 / 10) {
        const std::size_t held = counter.now;
        counter.most = held;
        const auto report = learner.adapt({.memory_bytes = limit, .steps_max = 2});
        if (!report) {
          EXPECT_EQ(report.error().code, ErrorCode::kResourceLimit) << train;
          EXPECT_THAT(report.error().message, HasSubstr("budget"));
          refusal = report.error().message;
          break;
        }
        EXPECT_LE(report->memory_bytes, limit) << train;
        EXPECT_LE(counter.most - held, report->memory_bytes) << train << " within " << limit;
        batches += report->batch < before;
        before = report->batch;
        ++allowed;
      }
      EXPECT_GE(allowed, 1u) << train << ": " << refusal;
      if (std::string_view(train) == "all") {
        EXPECT_GT(batches, 2u);
      }
      const auto none = learner.adapt({.memory_bytes = 100, .steps_max = 2});
      ASSERT_FALSE(none);
      EXPECT_EQ(none.error().code, ErrorCode::kResourceLimit);
    }
    ASSERT_TRUE(set_block_allocator({}));
  }
}

TEST_F(LearnerTest, ALossThatIsNotFiniteLeavesThePatchAsItWas) {
  Learner learner = open({.train = "all"});
  show(learner);
  ASSERT_TRUE(learner.adapt({.steps_max = 5}));
  const auto before = *learner.save_patch();
  const auto report = learner.adapt({.steps_max = 50, .rate = 1e30});
  ASSERT_FALSE(report);
  EXPECT_EQ(*learner.save_patch(), before);
}

TEST_F(LearnerTest, RefusesWhatIsNoExample) {
  Learner learner = open();
  EXPECT_EQ(learner.adapt({}).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(learner.example_size(), kPixels);
  auto pixels = picture(0, 1);
  EXPECT_THAT(learner.observe(pixels, 3).error().message, HasSubstr("label 3"));
  pixels[7] = std::nanf("");
  EXPECT_THAT(learner.observe(pixels, 0).error().message, HasSubstr("number 7"));
  EXPECT_FALSE(learner.predict(pixels));
  pixels.pop_back();
  EXPECT_THAT(learner.observe(pixels, 0).error().message, HasSubstr("expected 108"));
  EXPECT_EQ(learner.examples().count(), 0u);
  ASSERT_TRUE(learner.observe(picture(0, 1), 0));
  EXPECT_EQ(learner.adapt({.budget_ms = -1}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(learner.adapt({.rate = 0}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(LearnerTest, RefusesAModelThatIsNone) {
  const auto code = [&](const Path& path, const LearnerOptions& options) {
    const auto learner = Learner::open(path, options, clock_);
    EXPECT_FALSE(learner);
    return learner ? ErrorCode::kIo : learner.error().code;
  };
  EXPECT_EQ(code(folder_ / "none.ink", {}), ErrorCode::kNotFound);
  EXPECT_EQ(code(model(), {.train = "everything"}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(model(), {.examples_max = 0}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(model(), {.examples_max = kExamplesMax + 1}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(model(), {.classes = {"one"}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(model(), {.classes = {"a", "b"}, .features = "nowhere"}), ErrorCode::kNotFound);
  Model mislabelled = classifier();
  mislabelled.metadata["labels"] = "cat\ndog";
  ASSERT_TRUE(save_model(mislabelled, folder_ / "two.ink"));
  EXPECT_EQ(code(folder_ / "two.ink", {}), ErrorCode::kInvalidArgument);
  Model regression;
  regression.graph.output("y", regression.graph.input("x", {DType::kF32, {1, 3}}));
  ASSERT_TRUE(save_model(regression, folder_ / "regression.ink"));
  EXPECT_EQ(code(folder_ / "regression.ink", {}), ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace inkling
