#include "rerank/learn/shadow.h"

#include <gmock/gmock.h>

#include <limits>

#include "rerank/conditional_logit.h"
#include "rerank/learn/replay.h"
#include "tests/rerank/synthetic.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using synthetic::candidate;
using ::testing::ElementsAre;

constexpr EventKind kChoices[] = {EventKind::kClick, EventKind::kBuy};

class ShadowTest : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    auto log = BehaviorLog::open(folder_ / "log.sqlite", {}, clock_);
    ASSERT_TRUE(log) << log.error().message;
    log_.emplace(std::move(*log));
  }
  // As a device logs it: rows of the whole schema, then the choices.
  void append(const Slate& slate, const EncodedSlate& encoded, const FeatureSchema& schema) {
    std::vector<Event> events;
    for (std::size_t i = 0; i < encoded.alternatives; ++i) {
      const auto row = std::span(encoded.features).subspan(i * schema.width(), schema.width());
      events.push_back({.request = slate.request,
                        .item = slate.candidates[i].item,
                        .position = static_cast<std::uint32_t>(i),
                        .schema = schema.fingerprint(),
                        .features = {row.begin(), row.end()}});
    }
    for (const std::size_t i : slate.chosen)
      events.push_back({.kind = EventKind::kClick,
                        .request = slate.request,
                        .item = slate.candidates[i].item,
                        .features = {}});
    ASSERT_TRUE(log_->append(events));
  }

  VirtualClock clock_;
  std::optional<BehaviorLog> log_;
};

std::vector<Slate> random_slates(std::size_t count) {
  Rng rng(4, "slates");
  std::vector<Slate> slates;
  for (std::size_t r = 1; r <= count; ++r) {
    Slate& slate = slates.emplace_back(Slate{.user = 1, .request = r});
    for (ItemId item = 0; item < 4; ++item)
      slate.candidates.push_back(candidate(10 + item, rng.normal(), rng.normal(), rng.normal()));
    if (r % 3 != 0) slate.chosen = {rng.below(4)};  // nothing was chosen of every third
  }
  return slates;
}

TEST_F(ShadowTest, ScoresEachRequestAsTheModelWouldHaveAtTheTime) {
  const auto layout = *HistoryLayout::create(synthetic::schema());
  std::vector<float> weights(layout.schema().width());
  Rng rng(5, "weights");
  for (float& w : weights) w = static_cast<float>(0.3 * rng.normal());
  const auto slates = random_slates(12);
  History history(layout);
  const auto examples = *replay(history, slates);
  std::vector<double> expected;
  for (std::size_t r = 0; r < slates.size(); ++r) {
    append(slates[r], examples[r].slate, layout.schema());
    if (slates[r].chosen.empty()) continue;
    std::vector<double> utility(4, 0.0);
    double total = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t c = 0; c < weights.size(); ++c)
        utility[i] += static_cast<double>(examples[r].slate.features[i * weights.size() + c]) *
                      static_cast<double>(weights[c]);
      total += std::exp(utility[i]);
    }
    expected.push_back(std::log(total) - utility[slates[r].chosen[0]]);
  }
  const std::uint64_t schemas[] = {layout.schema().fingerprint()};
  const auto requests = *read_requests(*log_, schemas, layout.base().width(), kChoices);
  ASSERT_EQ(requests.size(), 12u);
  const Model model = *conditional_logit_model(layout.schema(), weights);
  const auto nll = *shadow_nll(layout, model, requests, 100);
  ASSERT_EQ(nll.size(), expected.size());
  // The model adds up in f32.
  for (std::size_t i = 0; i < nll.size(); ++i) EXPECT_NEAR(nll[i], expected[i], 1e-5);
  const auto latest = *shadow_nll(layout, model, requests, 3);
  EXPECT_EQ(latest, std::vector<double>(nll.end() - 3, nll.end()));
}

TEST_F(ShadowTest, ReadsRequestsOfTheSchemasAskedForAndNoOthers) {
  const FeatureSchema schema = synthetic::schema(), other = synthetic::schema(2);
  for (const Slate& slate : random_slates(4)) {
    const FeatureSchema& under = slate.request == 2 ? other : schema;
    EncodedSlate encoded{.alternatives = 4, .features = *under.encode(slate.candidates)};
    append(slate, encoded, under);
  }
  const std::uint64_t one[] = {schema.fingerprint()};
  const std::uint64_t both[] = {schema.fingerprint(), other.fingerprint()};
  EXPECT_EQ(read_requests(*log_, one, 3, kChoices)->size(), 3u);
  const auto requests = *read_requests(*log_, both, 2, kChoices);
  ASSERT_EQ(requests.size(), 4u);
  EXPECT_THAT(requests[0].items, ElementsAre(10, 11, 12, 13));
  EXPECT_EQ(requests[0].rows.size(), 8u);  // the base's two columns
  EXPECT_EQ(requests[1].chosen, random_slates(4)[1].chosen);
  EXPECT_TRUE(requests[2].chosen.empty());
}

TEST(ShadowScore, IsWorseOnlyBeyondTheMarginAndTheNoise) {
  const std::vector<double> before(10, 1.0);
  const auto score = [&](const std::vector<double>& now) { return *shadow_score(before, now, {}); };
  const ShadowScore clear = score(std::vector<double>(10, 1.2));
  EXPECT_TRUE(clear.worse);
  EXPECT_EQ(clear.requests, 10u);
  EXPECT_NEAR(clear.gain, -0.2, 1e-12);
  EXPECT_FALSE(score(std::vector<double>(10, 1.04)).worse);  // .4 nats in all: below the margin
  EXPECT_FALSE(score(std::vector<double>(10, 0.5)).worse);
  std::vector<double> noisy(10, 0.9);
  noisy[3] = 4;  // 2.1 nats in all, by a single choice
  EXPECT_FALSE(score(noisy).worse);
  std::vector<double> broken(10, 0.5);
  broken[9] = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(score(broken).worse);
}

TEST(ShadowScore, SaysNothingOfTooFew) {
  const std::vector<double> before(7, 1.0), now(7, 9.0);
  const ShadowScore score = *shadow_score(before, now, {});
  EXPECT_FALSE(score.worse);
  EXPECT_EQ(score.requests, 0u);
  EXPECT_TRUE(shadow_score(before, now, {.requests_min = 7})->worse);
  EXPECT_EQ(shadow_score(before, std::vector<double>(6), {}).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace inkling
