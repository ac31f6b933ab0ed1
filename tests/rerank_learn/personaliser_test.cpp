#include "rerank/learn/personaliser.h"

#include <array>

#include "rerank/conditional_logit.h"
#include "tests/rerank/synthetic.h"

namespace inkling {
namespace {

using synthetic::kWidth;
constexpr std::array<float, kWidth> kGlobal = {0.5f, 0.0f, -0.5f};
constexpr std::array<double, kWidth> kTaste = {-1.0, 1.5, -0.5};

Model global_model() { return *conditional_logit_model(synthetic::schema(), kGlobal); }

Personaliser make(unsigned threads = 1) {
  auto personaliser = Personaliser::create(
      global_model(), {.slates_max = 24, .alternatives_max = 6, .plan = {.threads = threads}});
  EXPECT_TRUE(personaliser) << personaliser.error().message;
  return std::move(*personaliser);
}

std::vector<EncodedSlate> person(std::uint64_t index, std::size_t slates = 20,
                                 std::size_t alternatives = 5) {
  Rng rng(7, "person", index);
  std::array<double, kWidth> taste = kTaste;
  for (double& t : taste) t += 0.5 * rng.normal();
  return synthetic::draw_slates(rng, taste, slates, alternatives);
}

TEST(Personaliser, ReachesTheExactOptimum) {
  Personaliser personaliser = make();
  for (const double pull : {0.3, 1.0, 10.0}) {
    const auto slates = person(1);
    const auto patch = personaliser.personalise(slates, pull);
    ASSERT_TRUE(patch && *patch);
    const auto exact = fit_conditional_logit(
        slates, kWidth, {.ridge = pull, .towards = {kGlobal.begin(), kGlobal.end()}});
    ASSERT_TRUE(exact) << exact.error().message;
    // A hundred steps of Adam in f32.
    for (std::size_t k = 0; k < kWidth; ++k)
      EXPECT_NEAR((*patch)->delta[k] + kGlobal[k], exact->weights[k], 0.02) << "pull " << pull;
  }
}

TEST(Personaliser, ImprovesHeldOutLikelihood) {
  Personaliser personaliser = make();
  double global = 0, personal = 0;
  for (std::uint64_t i = 0; i < 20; ++i) {
    const auto slates = person(i, 30);
    const auto train = std::span(slates).first(20), test = std::span(slates).last(10);
    const auto patch = personaliser.personalise(train, 1.0);
    ASSERT_TRUE(patch && *patch);
    global += *personaliser.nll_sum(test, nullptr);
    personal += *personaliser.nll_sum(test, &**patch);
  }
  EXPECT_LT(personal, 0.8 * global);
}

TEST(Personaliser, NoSlatesGiveNoPatch) {
  const auto patch = make().personalise({}, 1.0);
  ASSERT_TRUE(patch) << patch.error().message;
  EXPECT_FALSE(*patch);
}

TEST(Personaliser, AStrongPullStaysAtTheGlobalModel) {
  const auto patch = make().personalise(person(1), 1e5);
  ASSERT_TRUE(patch && *patch);
  for (const float d : (*patch)->delta) EXPECT_NEAR(d, 0, 1e-3f);
}

TEST(Personaliser, DoesNotDependOnThreadsOrOnWhoCameBefore) {
  Personaliser one = make(1), three = make(3);
  ASSERT_TRUE(three.personalise(person(2, 24, 6), 0.1));
  ASSERT_TRUE(three.held_back_nll(person(3), 5, std::array{0.1, 1.0}));
  const auto a = one.personalise(person(1), 1.0), b = three.personalise(person(1), 1.0);
  ASSERT_TRUE(a && b && *a);
  EXPECT_EQ(**a, **b);  // bit by bit
}

TEST(Personaliser, PlacesWithoutACandidateChangeNothing) {
  // The same slates in a plan that they fill, and in one with room to spare.
  const auto slates = person(1, 12, 3);
  auto tight = Personaliser::create(global_model(), {.slates_max = 12, .alternatives_max = 3});
  ASSERT_TRUE(tight);
  const auto a = tight->personalise(slates, 1.0), b = make().personalise(slates, 1.0);
  ASSERT_TRUE(a && b && *a && *b);
  for (std::size_t k = 0; k < kWidth; ++k)
    EXPECT_NEAR((*a)->delta[k], (*b)->delta[k], 1e-4f);  // another order of summation
}

TEST(Personaliser, LearnsFromTheLatestSlatesThatFit) {
  const auto slates = person(1, 40);
  Personaliser personaliser = make();
  const auto all = personaliser.personalise(slates, 1.0);
  const auto latest = personaliser.personalise(std::span(slates).last(24), 1.0);
  ASSERT_TRUE(all && latest && *all);
  EXPECT_EQ(**all, **latest);
}

TEST(Personaliser, HeldBackLossSeesOnlyTheTrainingPart) {
  const auto slates = person(4);
  Personaliser personaliser = make();
  const auto losses = personaliser.held_back_nll(slates, 5, std::array{1.0, 1e5});
  ASSERT_TRUE(losses) << losses.error().message;
  const auto patch = personaliser.personalise(std::span(slates).first(15), 1.0);
  EXPECT_EQ((*losses)[0], *personaliser.nll_sum(std::span(slates).last(5), &**patch));
  EXPECT_NEAR((*losses)[1], *personaliser.nll_sum(std::span(slates).last(5), nullptr), 1e-2);
}

TEST(Personaliser, ThePatchIsForItsModelOnly) {
  Personaliser personaliser = make();
  auto patch = personaliser.personalise(person(1), 1.0);
  ASSERT_TRUE(patch && *patch);
  EXPECT_EQ((*patch)->base, *model_identity(global_model()));
  (*patch)->base[0] ^= 1;
  EXPECT_EQ(personaliser.nll_sum(person(1), &**patch).error().code, ErrorCode::kVerification);
}

TEST(Personaliser, RefusesWhatItCannotLearnFrom) {
  Personaliser personaliser = make();
  const auto code = [&](std::span<const EncodedSlate> slates, double pull) {
    return personaliser.personalise(slates, pull).error().code;
  };
  EXPECT_EQ(code(person(1), -1), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(person(1), std::nan("")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(person(1, 2, 7), 1), ErrorCode::kResourceLimit);
  auto slates = person(1);
  slates[3].features.pop_back();
  EXPECT_EQ(code(slates, 1), ErrorCode::kInvalidArgument);
  slates = person(1);
  slates[3].features[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code(slates, 1), ErrorCode::kFailedPrecondition);
  EXPECT_TRUE(personaliser.personalise(person(1), 1));  // and is as good as new
  EXPECT_FALSE(personaliser.held_back_nll(person(1), 0, std::array{1.0}));
  EXPECT_FALSE(personaliser.held_back_nll(person(1), 20, std::array{1.0}));
  EXPECT_FALSE(Personaliser::create(global_model(), {.slates_max = 0}));
  EXPECT_FALSE(Personaliser::create({}, {}));
}

}  // namespace
}  // namespace inkling
