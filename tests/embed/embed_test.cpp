// The C interface as an app uses it: cold start, logging, a model update, learning, erasing,
// export.

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>

#include "embed/inkling.h"
#include "rerank/bundle.h"
#include "rerank/conditional_logit.h"
#include "runtime/base/rng.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TastePrior wide_prior(double mean = 0) { return {.mean = {mean, 0}, .covariance = {4, 0, 0, 4}}; }

Bytes bundle_of(std::uint64_t version, const HistoryLayout& layout, float taste_weight) {
  std::vector<float> weights(layout.schema().width(), 0.0f);
  weights[0] = -1;  // cheap is good
  weights.back() = taste_weight;
  const std::vector<float> ones(weights.size(), 1.0f);
  return *encode_bundle({version, layout, *scaled_logit_model(layout.schema(), ones, weights)});
}

Bytes bundle(std::uint64_t version, float taste_weight = 1, double prior_mean = 0) {
  const auto base = *FeatureSchema::create(1, {{.name = "price"}, {.name = "colour"}});
  return bundle_of(version, *HistoryLayout::create(base, {.taste = wide_prior(prior_mean)}),
                   taste_weight);
}

// Candidates that outlive the C structs that point into them.
struct Slate {
  explicit Slate(const std::vector<std::array<double, 2>>& values, std::uint64_t first = 1) {
    features.reserve(values.size());
    for (const auto& [price, colour] : values) {
      features.push_back({{{"price", price, nullptr}, {"colour", colour, nullptr}}});
      candidates.push_back(
          {sizeof(ink_candidate), first++, 0.5, 0, features.back().data(), 2, 0, 0});
    }
  }
  std::vector<std::array<ink_feature, 2>> features;
  std::vector<ink_candidate> candidates;
};

class Embed : public ScratchTest {
 protected:
  void open() {
    ink_options options{};
    options.struct_size = sizeof options;
    path_ = folder_.string();
    options.folder = path_.c_str();
    options.context = this;
    options.unix_ms = [](void*) -> int64_t { return 10'000'000; };
    options.may_train = [](void* self) { return static_cast<Embed*>(self)->idle_ ? 1 : 0; };
    options.verify = [](void*, const void*, size_t, const void* signature, size_t size) {
      return size == 4 && std::memcmp(signature, "good", 4) == 0 ? 1 : 0;
    };
    ASSERT_EQ(ink_open(&options, &engine_), INK_OK);
  }
  void TearDown() override {
    ink_close(engine_);
    ScratchTest::TearDown();
  }
  void reopen() {
    ink_close(engine_);
    engine_ = nullptr;
    open();
  }
  ink_status update(const Bytes& bytes, std::string_view signature = "good") {
    return ink_update_model(engine_, bytes.data(), bytes.size(), signature.data(),
                            signature.size());
  }
  std::vector<std::uint32_t> rerank(const Slate& slate, ink_ranked_by expected) {
    std::vector<std::uint32_t> order(slate.candidates.size());
    ink_ranked_by by{};
    EXPECT_EQ(ink_rerank(engine_, slate.candidates.data(), order.size(), 0, order.data(), &by),
              INK_OK)
        << ink_last_error(engine_);
    EXPECT_EQ(by, expected);
    return order;
  }
  // A person who takes the most colourful item, whatever it costs.
  void live(int requests) {
    Rng rng(1, "life");
    for (int r = 0; r < requests; ++r, ++request_) {
      std::vector<std::array<double, 2>> values(5);
      for (auto& v : values) v = {rng.normal(), rng.normal()};
      const Slate slate(values, 100);
      ASSERT_EQ(ink_log_impressions(engine_, request_, slate.candidates.data(), 5, nullptr,
                                    1000 * static_cast<std::int64_t>(request_)),
                INK_OK)
          << ink_last_error(engine_);
      const auto best = std::max_element(values.begin(), values.end(),
                                         [](const auto& a, const auto& b) { return a[1] < b[1]; });
      ASSERT_EQ(ink_log_event(engine_, INK_CLICK, request_,
                              100 + static_cast<std::uint64_t>(best - values.begin()), 900, 0.5,
                              1000 * static_cast<std::int64_t>(request_) + 1),
                INK_OK);
    }
  }

  std::string path_;
  ink_engine* engine_ = nullptr;
  std::uint64_t request_ = 1;
  bool idle_ = true;
};

const Slate kSlate({{1, 3}, {0, 0}, {-1, -3}});

TEST_F(Embed, WithoutAModelTheServersOrderStands) {
  open();
  EXPECT_EQ(ink_abi_version(), static_cast<uint32_t>(INK_ABI_VERSION));
  EXPECT_THAT(rerank(kSlate, INK_SERVER_NO_MODEL), ElementsAre(0, 1, 2));
  EXPECT_EQ(ink_adapt(engine_, nullptr), INK_NOT_NOW);
}

TEST_F(Embed, AModelArrivesSignedAndOnlyGoesForward) {
  open();
  EXPECT_EQ(update(bundle(3), "evil"), INK_VERIFICATION);
  ASSERT_EQ(update(bundle(3)), INK_OK) << ink_last_error(engine_);
  EXPECT_THAT(rerank(kSlate, INK_GLOBAL_MODEL), ElementsAre(2, 1, 0));
  EXPECT_EQ(update(bundle(2)), INK_VERIFICATION);
  Bytes damaged = bundle(4);
  damaged[damaged.size() / 2] ^= 1;
  EXPECT_EQ(update(damaged), INK_CORRUPT);
  EXPECT_EQ(ink_rollback_model(engine_), INK_NOT_NOW);
  ASSERT_EQ(update(bundle(4, 2)), INK_OK);
  EXPECT_EQ(ink_rollback_model(engine_), INK_OK);
  reopen();
  EXPECT_THAT(rerank(kSlate, INK_GLOBAL_MODEL), ElementsAre(2, 1, 0));
  EXPECT_EQ(update(bundle(4, 2)), INK_VERIFICATION);  // what was left stays refused
}

TEST_F(Embed, TheHistoryTurnsTheOrderAndSurvivesARestart) {
  open();
  ASSERT_EQ(update(bundle(1)), INK_OK);
  EXPECT_THAT(rerank(kSlate, INK_GLOBAL_MODEL), ElementsAre(2, 1, 0));
  live(30);
  const auto personal = rerank(kSlate, INK_GLOBAL_MODEL);
  EXPECT_THAT(personal, ElementsAre(0, 1, 2));
  reopen();  // from the snapshot
  EXPECT_EQ(rerank(kSlate, INK_GLOBAL_MODEL), personal);
}

TEST_F(Embed, ANewLayoutKeepsTheHistoryOfTheOldOne) {
  open();
  ASSERT_EQ(update(bundle(1)), INK_OK);
  live(30);
  const auto personal = rerank(kSlate, INK_GLOBAL_MODEL);
  EXPECT_THAT(personal, ElementsAre(0, 1, 2));
  ASSERT_EQ(update(bundle(2, 1, 0.25)), INK_OK);  // another prior, so other history columns
  EXPECT_EQ(rerank(kSlate, INK_GLOBAL_MODEL), personal);
  // Other features: one between the two that stay, so that every column moves.
  const auto base = *FeatureSchema::create(
      1, {{.name = "price"}, {.name = "size", .missing = 2}, {.name = "colour"}});
  const TastePrior prior{.mean = {0, 0, 0}, .covariance = {4, 0, 0, 0, 4, 0, 0, 0, 4}};
  ASSERT_EQ(update(bundle_of(3, *HistoryLayout::create(base, {.taste = prior}), 1)), INK_OK);
  EXPECT_EQ(rerank(kSlate, INK_GLOBAL_MODEL), personal);
  live(1);   // rows of three layouts
  reopen();  // from the snapshot
  EXPECT_EQ(rerank(kSlate, INK_GLOBAL_MODEL), personal);
  ASSERT_EQ(ink_erase_range(engine_, 0, 1500), INK_OK);  // reads the log again
  EXPECT_EQ(rerank(kSlate, INK_GLOBAL_MODEL), personal);
  // Under another version the same names mean something else.
  const auto other = *FeatureSchema::create(2, {{.name = "price"}, {.name = "colour"}});
  ASSERT_EQ(update(bundle_of(4, *HistoryLayout::create(other, {.taste = wide_prior()}), 1)),
            INK_OK);
  EXPECT_THAT(rerank(kSlate, INK_GLOBAL_MODEL), ElementsAre(2, 1, 0));
}

TEST_F(Embed, LearnsAPatchWhenIdleAndForgetsItWithTheData) {
  open();
  ASSERT_EQ(update(bundle(1, 0)), INK_OK);  // a model that does not listen to the history
  live(60);
  EXPECT_THAT(rerank(kSlate, INK_GLOBAL_MODEL), ElementsAre(2, 1, 0));
  idle_ = false;
  EXPECT_EQ(ink_adapt(engine_, nullptr), INK_NOT_NOW);
  idle_ = true;
  ink_adaptation adaptation{};
  adaptation.struct_size = sizeof adaptation;
  ASSERT_EQ(ink_adapt(engine_, &adaptation), INK_OK) << ink_last_error(engine_);
  EXPECT_EQ(adaptation.slates, 60u);
  EXPECT_EQ(adaptation.has_patch, 1);
  EXPECT_GT(adaptation.held_back_gain, 0);
  rerank(kSlate, INK_PERSONAL_MODEL);
  reopen();
  rerank(kSlate, INK_PERSONAL_MODEL);
  ASSERT_EQ(update(bundle(2, 0.01f)), INK_OK);  // a patch belongs to one model
  rerank(kSlate, INK_GLOBAL_MODEL);
  ASSERT_EQ(ink_adapt(engine_, nullptr), INK_OK);
  rerank(kSlate, INK_PERSONAL_MODEL);
  ASSERT_EQ(ink_erase_all(engine_), INK_OK);
  EXPECT_THAT(rerank(kSlate, INK_GLOBAL_MODEL), ElementsAre(2, 1, 0));
}

ink_adaptation adapted(ink_engine* engine) {
  ink_adaptation result{};
  result.struct_size = sizeof result;
  EXPECT_EQ(ink_adapt(engine, &result), INK_OK) << ink_last_error(engine);
  return result;
}

TEST_F(Embed, AModelThatIsWorseForThisPersonIsRolledBack) {
  open();
  ASSERT_EQ(update(bundle(1, 1)), INK_OK);
  live(40);  // and the model, which listens to the history, is patched a little
  EXPECT_EQ(adapted(engine_).shadow_slates, 0u);  // nothing before it to compare with
  const auto before = rerank(kSlate, INK_PERSONAL_MODEL);
  ASSERT_EQ(update(bundle(2, -3)), INK_OK);  // against what the person likes
  EXPECT_NE(rerank(kSlate, INK_GLOBAL_MODEL), before);
  reopen();  // a trial outlives the process
  const ink_adaptation bad = adapted(engine_);
  EXPECT_EQ(bad.rolled_back, 1);
  EXPECT_EQ(bad.shadow_slates, 40u);
  EXPECT_LT(bad.shadow_gain, -1);
  EXPECT_EQ(rerank(kSlate, INK_PERSONAL_MODEL), before);
  EXPECT_EQ(update(bundle(2, -3)), INK_VERIFICATION);  // it stays withdrawn
  EXPECT_EQ(adapted(engine_).rolled_back, 0);
  reopen();
  EXPECT_EQ(rerank(kSlate, INK_PERSONAL_MODEL), before);
  // A model that learnt another prior makes other columns of the same log, and can be compared.
  ASSERT_EQ(update(bundle(3, -3, 1)), INK_OK);
  EXPECT_EQ(adapted(engine_).rolled_back, 1);
  EXPECT_EQ(rerank(kSlate, INK_PERSONAL_MODEL), before);
}

TEST_F(Embed, AModelThatIsNoWorseStaysAndItsTrialEnds) {
  open();
  ASSERT_EQ(update(bundle(1, 0)), INK_OK);
  live(5);
  ASSERT_EQ(update(bundle(2, -3)), INK_OK);
  EXPECT_EQ(adapted(engine_).shadow_slates, 0u);  // five choices are too few to tell by
  ASSERT_EQ(update(bundle(3, 0)), INK_OK);        // as good as the first, better than the second
  live(20);
  const ink_adaptation young = adapted(engine_);
  EXPECT_EQ(young.rolled_back, 0);
  EXPECT_EQ(young.shadow_slates, 25u);
  EXPECT_GT(young.shadow_gain, 0);
  live(60);
  EXPECT_EQ(adapted(engine_).shadow_slates, 64u);
  EXPECT_EQ(adapted(engine_).shadow_slates, 0u);  // it has proved itself
}

// What loads, and then ends the process while it ranks.
TEST_F(Embed, WhatEndsTheProcessTwiceIsWithdrawnThePatchFirst) {
  const auto die_while_ranking = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      ink_options options{};
      options.struct_size = sizeof options;
      options.folder = path_.c_str();
      options.steady_ms = [](void*) -> int64_t { ::_exit(7); };
      ink_engine* engine = nullptr;
      std::uint32_t order[3];
      if (ink_open(&options, &engine) == INK_OK)
        ink_rerank(engine, kSlate.candidates.data(), 3, 0, order, nullptr);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 7;
  };
  open();
  ASSERT_EQ(update(bundle(1, 0)), INK_OK);
  rerank(kSlate, INK_GLOBAL_MODEL);
  live(60);
  ASSERT_EQ(update(bundle(2, 0.01f)), INK_OK);
  EXPECT_EQ(adapted(engine_).has_patch, 1);
  ink_close(engine_);
  engine_ = nullptr;
  EXPECT_TRUE(die_while_ranking());
  open();
  EXPECT_EQ(update(bundle(2, 0.01f)),
            INK_OK);  // an app may bring what is there, which proves nothing
  ink_close(engine_);
  EXPECT_TRUE(die_while_ranking());
  EXPECT_TRUE(die_while_ranking());  // without the patch
  open();
  EXPECT_EQ(update(bundle(2, 0.01f)), INK_OK) << "one crash of the model is forgiven";
  ink_close(engine_);
  engine_ = nullptr;
  EXPECT_TRUE(die_while_ranking());
  open();
  EXPECT_EQ(update(bundle(2, 0.01f)), INK_VERIFICATION);  // withdrawn
  rerank(kSlate, INK_GLOBAL_MODEL);
  // What has ranked once stays, however often the process ends afterwards.
  ASSERT_EQ(update(bundle(3, 0)), INK_OK);
  rerank(kSlate, INK_GLOBAL_MODEL);
  ink_close(engine_);
  engine_ = nullptr;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(die_while_ranking());
  open();
  EXPECT_EQ(update(bundle(3, 0)), INK_OK);
}

int count_line(void* lines, const char* json) {
  static_cast<std::vector<std::string>*>(lines)->push_back(json);
  return 0;
}

TEST_F(Embed, ExportsEachRowAndErasesWhatIsAsked) {
  open();
  live(4);
  std::vector<std::string> lines;
  ASSERT_EQ(ink_export(engine_, count_line, &lines), INK_OK);
  EXPECT_EQ(lines.size(), 24u);
  EXPECT_THAT(lines[0], HasSubstr("\"kind\":1,\"time_ms\":1000,\"request\":1,\"item\":100"));
  ASSERT_EQ(ink_erase_item(engine_, 100), INK_OK);
  ASSERT_EQ(ink_erase_range(engine_, 0, 2000), INK_OK);
  lines.clear();
  ASSERT_EQ(ink_export(engine_, count_line, &lines), INK_OK);
  for (const std::string& line : lines) {
    EXPECT_EQ(line.find("\"item\":100,"), std::string::npos);
    EXPECT_EQ(line.find("\"request\":1,"), std::string::npos);
  }
}

TEST_F(Embed, ThePolicyBoundsTheOrderAndSurvivesAModelUpdate) {
  open();
  ASSERT_EQ(update(bundle(1)), INK_OK);
  EXPECT_THAT(rerank(kSlate, INK_GLOBAL_MODEL), ElementsAre(2, 1, 0));
  const ink_pin pin = {1, 0};
  ink_policy policy{};
  policy.struct_size = sizeof policy;
  policy.pins = &pin;
  policy.pin_count = 1;
  ASSERT_EQ(ink_set_policy(engine_, &policy), INK_OK) << ink_last_error(engine_);
  EXPECT_THAT(rerank(kSlate, INK_GLOBAL_MODEL), ElementsAre(0, 2, 1));
  ASSERT_EQ(update(bundle(2)), INK_OK);
  EXPECT_THAT(rerank(kSlate, INK_GLOBAL_MODEL), ElementsAre(0, 2, 1));
  policy.temperature = 1;
  policy.explore_places = 1;
  EXPECT_EQ(ink_set_policy(engine_, &policy), INK_INVALID_ARGUMENT);
  // A search for the best list: the two best are of one group, so the third comes between them.
  Slate alike({{0, 0}, {-0.1, 0}, {0.1, 0}});
  alike.candidates[0].group = alike.candidates[1].group = 5;
  EXPECT_THAT(rerank(alike, INK_GLOBAL_MODEL), ElementsAre(0, 1, 2));  // pinned
  ink_policy search{};
  search.struct_size = sizeof search;
  ASSERT_EQ(ink_set_policy(engine_, &search), INK_OK);
  EXPECT_THAT(rerank(alike, INK_GLOBAL_MODEL), ElementsAre(1, 0, 2));
  search.list_places = 3;
  ASSERT_EQ(ink_set_policy(engine_, &search), INK_OK);
  EXPECT_THAT(rerank(alike, INK_GLOBAL_MODEL), ElementsAre(1, 2, 0));
  search.list_fatigue = -1;
  EXPECT_EQ(ink_set_policy(engine_, &search), INK_INVALID_ARGUMENT);
  search.list_fatigue = 0;
  search.struct_size = offsetof(ink_policy, list_places);  // an app built before the search
  ASSERT_EQ(ink_set_policy(engine_, &search), INK_OK);
  EXPECT_THAT(rerank(alike, INK_GLOBAL_MODEL), ElementsAre(1, 0, 2));
  // An app built before there was an experiment: the rest of the struct reads as zero.
  policy.salt = "ignored";
  policy.hold_out = 1;
  policy.pin_count = 0;
  policy.struct_size = offsetof(ink_policy, salt);
  ASSERT_EQ(ink_set_policy(engine_, &policy), INK_OK);
  uint32_t arm = 0;
  ASSERT_EQ(ink_experiment_arm(engine_, &arm), INK_OK);
  EXPECT_EQ(arm, UINT32_MAX);
  double propensities[3] = {0, 0, 0};
  uint32_t order[3];
  ASSERT_EQ(
      ink_rerank_explored(engine_, kSlate.candidates.data(), 3, 0, order, propensities, nullptr),
      INK_OK);
  EXPECT_LT(propensities[0], 1);
  EXPECT_GT(propensities[0], 0);
  EXPECT_EQ(propensities[2], 1);
  policy.struct_size = sizeof policy;
  policy.arms = 2;
  ASSERT_EQ(ink_set_policy(engine_, &policy), INK_OK);
  EXPECT_THAT(rerank(kSlate, INK_SERVER_HOLD_OUT), ElementsAre(0, 1, 2));
}

TEST_F(Embed, TellsWhyAnItemStandsWhereItDoes) {
  open();
  ink_reason reasons[4];
  size_t count = 4;
  EXPECT_EQ(ink_why(engine_, kSlate.candidates.data(), 3, 0, reasons, &count), INK_NOT_NOW);
  ASSERT_EQ(update(bundle(1)), INK_OK);
  ASSERT_EQ(ink_why(engine_, kSlate.candidates.data(), 3, 2, reasons, &count), INK_OK);
  ASSERT_EQ(count, 1u);  // there is no history yet, and the model has no weight on the colour
  EXPECT_STREQ(reasons[0].feature, "price");
  EXPECT_NEAR(reasons[0].effect, 1, 1e-5);  // weight -1 on a price of -1 among a mean of 0
  live(30);
  count = 1;
  ASSERT_EQ(ink_why(engine_, kSlate.candidates.data(), 3, 0, reasons, &count), INK_OK);
  ASSERT_EQ(count, 1u);
  EXPECT_THAT(reasons[0].feature, HasSubstr("history:taste"));
  EXPECT_GT(reasons[0].effect, 0);
}

TEST_F(Embed, ModelsLiveInTheAppsMemory) {
  struct Heap {
    int blocks = 0, most = 0;
  } heap;
  const auto allocate = [](void* context, size_t size, size_t alignment) {
    auto& self = *static_cast<Heap*>(context);
    self.most = std::max(self.most, ++self.blocks);
    return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  };
  const auto release = [](void* context, void* block) {
    --static_cast<Heap*>(context)->blocks;
    std::free(block);
  };
  EXPECT_EQ(ink_set_allocator(allocate, nullptr, &heap), INK_INVALID_ARGUMENT);
  ASSERT_EQ(ink_set_allocator(allocate, release, &heap), INK_OK);
  open();
  ASSERT_EQ(update(bundle(1)), INK_OK);
  rerank(kSlate, INK_GLOBAL_MODEL);
  EXPECT_GT(heap.most, 1);
  EXPECT_EQ(ink_set_allocator(nullptr, nullptr, nullptr), INK_NOT_NOW);
  ink_close(engine_);
  engine_ = nullptr;
  EXPECT_EQ(heap.blocks, 0);
  EXPECT_EQ(ink_set_allocator(nullptr, nullptr, nullptr), INK_OK);
}

TEST_F(Embed, WrongArgumentsAreStatusesNotCrashes) {
  open();
  ink_engine* none = nullptr;
  EXPECT_EQ(ink_open(nullptr, &none), INK_INVALID_ARGUMENT);
  EXPECT_EQ(ink_rerank(nullptr, nullptr, 0, 0, nullptr, nullptr), INK_INVALID_ARGUMENT);
  EXPECT_EQ(ink_rerank(engine_, nullptr, 3, 0, nullptr, nullptr), INK_INVALID_ARGUMENT);
  EXPECT_EQ(ink_log_event(engine_, static_cast<ink_event>(1), 1, 1, 0, 0, 0), INK_INVALID_ARGUMENT);
  EXPECT_EQ(ink_update_model(engine_, nullptr, 0, nullptr, 0), INK_INVALID_ARGUMENT);
  EXPECT_EQ(ink_export(engine_, nullptr, nullptr), INK_INVALID_ARGUMENT);
  ink_close(nullptr);
  ASSERT_EQ(update(bundle(1)), INK_OK);
  const ink_feature unknown[] = {{"weight", 1, nullptr}};
  const ink_candidate candidate = {sizeof(ink_candidate), 1, 0, 0, unknown, 1, 0, 0};
  std::uint32_t order = 0;
  EXPECT_EQ(ink_rerank(engine_, &candidate, 1, 0, &order, nullptr), INK_INVALID_ARGUMENT);
  EXPECT_THAT(ink_last_error(engine_), HasSubstr("unknown feature weight"));
}

TEST(Bundle, AnyCutOrChangedByteIsRefused) {
  const Bytes good = bundle(7);
  EXPECT_EQ(decode_bundle(std::make_shared<const Bytes>(good))->version, 7u);
  for (std::size_t size = 0; size < good.size(); size += 7)
    EXPECT_FALSE(decode_bundle(
        std::make_shared<const Bytes>(good.begin(), good.begin() + static_cast<long>(size))));
}

}  // namespace
}  // namespace inkling
