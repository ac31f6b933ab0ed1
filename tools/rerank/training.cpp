#include "tools/rerank/training.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "rerank/learn/taste_prior.h"
#include "runtime/base/rng.h"
#include "server-sim/aggregator/server_optimizer.h"

namespace inkling::tools {

namespace {

constexpr double kVarianceMin = 1e-12;  // a column that never changes stays as it is
// Sums that were rounded, and travelled as f32: a Newton step that small is good enough.
constexpr double kSumError = 1e-3, kSummedGradientMax = 1e-6;
constexpr double kNoisyScale = 1 << 16;  // the sampler of the noise allows no finer steps
constexpr std::size_t kLocalBatch = 8;   // slates of a step on a device

std::vector<std::size_t> everyone_with_slates(std::span<const std::vector<EncodedSlate>> slates) {
  std::vector<std::size_t> people;
  for (std::size_t i = 0; i < slates.size(); ++i)
    if (!slates[i].empty()) people.push_back(i);
  return people;
}

// A cohort drawn without replacement, in order of the person.
std::vector<std::size_t> draw_cohort(std::vector<std::size_t> people, std::size_t size, Rng rng) {
  rng.shuffle(people);
  people.resize(std::min(size, people.size()));
  std::sort(people.begin(), people.end());
  return people;
}

// One pass over a person's own slates by SGD from the global weights; what moved. With
// `people_alike`, a pass over many slates counts as much as one over few.
Result<std::vector<double>> train_locally(ScorerTrainer& trainer, std::span<const float> global,
                                          std::span<const Example> own, double rate,
                                          bool people_alike, Rng order) {
  INK_CHECK_OK(trainer.set_parameters(global));
  std::vector<const Example*> slates;
  for (const Example& e : own) slates.push_back(&e);
  order.shuffle(slates);
  for (std::size_t at = 0; at < slates.size(); at += kLocalBatch) {
    const std::size_t count = std::min(kLocalBatch, slates.size() - at);
    INK_CHECK_OK(trainer.step(std::span(slates).subspan(at, count), rate));
  }
  const std::vector<float> after = trainer.get_parameters();
  const double factor =
      people_alike ? static_cast<double>(kLocalBatch) / static_cast<double>(own.size()) : 1;
  std::vector<double> moved(after.size());
  for (std::size_t i = 0; i < moved.size(); ++i)
    moved[i] = factor * (static_cast<double>(after[i]) - static_cast<double>(global[i]));
  return moved;
}

}  // namespace

struct StudyTraining::Plan {
  std::uint64_t rounds = 0;
  std::size_t cohort = 0;
  double local_rate = 0, clip_l2 = 0;
  bool people_alike = false, falling_rate = false;
  ServerOptimizerSpec server = {};
};

StudyTraining::StudyTraining(const StudyOptions& options, const Progress& progress)
    : options_(options),
      progress_(progress),
      secure_({.seed = options.seed, .masked = options.federated && options.federated->masked}),
      sum_(sum_in_the_clear) {
  if (options.federated) sum_ = std::ref(secure_);
}

Result<HistoryLayout> StudyTraining::layout(const FeatureSchema& schema,
                                            const std::vector<Person>& people) {
  HistoryOptions memory = options_.memory;
  std::vector<std::vector<EncodedSlate>> slates;
  for (const Person& person : people) {
    auto& own = slates.emplace_back();
    for (const Slate& slate : person.train) {
      if (slate.chosen.empty()) continue;
      INK_TRY(own.emplace_back(), encode_slate(slate, schema));
    }
  }
  if (schema.width() > kTasteWidthMax) return HistoryLayout::create(schema, memory);
  TastePriorOptions prior = options_.prior;
  if (is_private()) {
    INK_CHECK_OK(start_noise());
    secure_.spec().clip_l2 = options_.federated->private_prior_clip;
    prior.rounds = options_.federated->private_prior_rounds;
    INK_TRY(const ColumnMoments offered, sum_column_moments(slates, everyone_with_slates(slates),
                                                            schema.width(), sum_in_the_clear));
    INK_TRY(memory.taste, fit_independent_taste_prior(slates, offered.variance, prior, sum_));
  } else {
    if (options_.federated) prior.sum_error = kSumError;
    INK_TRY(memory.taste, fit_taste_prior(slates, schema.width(), prior, sum_));
  }
  return HistoryLayout::create(schema, memory);
}

Result<void> StudyTraining::scale(std::span<const std::vector<EncodedSlate>> slates,
                                  std::size_t base, std::size_t width) {
  const SumOverPeople sum = is_private() ? sum_in_the_clear : sum_;
  INK_TRY(ColumnMoments moments,
          sum_column_moments(slates, everyone_with_slates(slates), width, sum));
  for (std::size_t c = 0; c < width; ++c) {
    if (is_private() && c >= base) moments.mean[c] = 0, moments.variance[c] = 1;
    const double variance = moments.variance[c];
    scaling_.mean.push_back(static_cast<float>(moments.mean[c]));
    scaling_.deviation.push_back(
        static_cast<float>(variance > kVarianceMin ? std::sqrt(variance) : 1.0));
  }
  return {};
}

Result<std::vector<float>> StudyTraining::fit_logit(std::vector<std::vector<EncodedSlate>> slates,
                                                    std::size_t width) {
  for (auto& own : slates)
    for (EncodedSlate& slate : own)
      for (std::size_t i = 0; i < slate.features.size(); ++i)
        slate.features[i] /= scaling_.deviation[i % width];
  ConditionalLogitOptions fit{.ridge = options_.ridge};
  if (options_.federated) {
    fit.gradient_norm_max = kSummedGradientMax;
    fit.nll_error = kSumError;
  }
  INK_TRY(const ConditionalLogitFit found,
          fit_summed_logit(slates, everyone_with_slates(slates), width, fit, sum_));
  return std::vector<float>(found.weights.begin(), found.weights.end());
}

StudyTraining::Plan StudyTraining::plan() const {
  const FederatedOptions& o = *options_.federated;
  if (is_private()) {
    return {.rounds = o.private_rounds,
            .cohort = std::numeric_limits<std::size_t>::max(),
            .local_rate = o.private_rate,
            .clip_l2 = o.private_clip,
            .people_alike = true,
            .server = {.rule = ServerRule::kFedAvgM}};
  }
  return {.rounds = o.rounds,
          .cohort = o.cohort,
          .local_rate = o.local_rate,
          .clip_l2 = o.clip_l2,
          .falling_rate = true,
          .server = {.rule = ServerRule::kFedAdam, .rate = o.server_rate, .tau = o.tau}};
}

Result<Model> StudyTraining::train_federated(const Model& start,
                                             std::span<const std::vector<Example>> people,
                                             const Plan& plan) {
  std::vector<std::size_t> willing;
  std::size_t alternatives = 0;
  for (std::size_t i = 0; i < people.size(); ++i) {
    if (!people[i].empty()) willing.push_back(i);
    for (const Example& e : people[i]) alternatives = std::max(alternatives, e.slate.alternatives);
  }
  INK_TRY(ScorerTrainer trainer, ScorerTrainer::create(start, alternatives, kLocalBatch, Sgd{}));
  std::vector<float> weights = trainer.get_parameters();
  INK_TRY(ServerOptimizer server, ServerOptimizer::create(plan.server, weights.size()));
  secure_.spec().clip_l2 = plan.clip_l2;
  for (std::uint64_t round = 0; round < plan.rounds; ++round) {
    const auto cohort =
        draw_cohort(willing, plan.cohort, Rng(options_.seed, "federated cohort", round));
    const auto term = [&](std::size_t person) {
      return train_locally(trainer, weights, people[person], plan.local_rate, plan.people_alike,
                           Rng(options_.seed, "local order", round << 32 | person));
    };
    INK_TRY(const std::vector<double> sum, sum_(cohort, weights.size(), term));
    std::vector<float> mean(sum.size());
    for (std::size_t i = 0; i < mean.size(); ++i)
      mean[i] = static_cast<float>(sum[i] / static_cast<double>(cohort.size()));
    const double done = static_cast<double>(round) / static_cast<double>(plan.rounds);
    INK_CHECK_OK(server.step(
        weights, mean, plan.falling_rate ? 0.5 * (1 + std::cos(done * std::numbers::pi)) : 1));
    progress_(concat("round ", round + 1, " of ", plan.rounds));
  }
  return with_parameters(start, weights);
}

Result<void> StudyTraining::start_noise() {
  const FederatedOptions& o = *options_.federated;
  const std::uint64_t rounds =
      o.private_rounds + static_cast<std::uint64_t>(o.private_prior_rounds);
  INK_TRY(const double multiplier,
          privacy::calibrate_gaussian(privacy::Method::kRdp, 1.0, rounds,
                                      {.epsilon = o.epsilon, .delta = o.delta}));
  secure_.spec().scale = kNoisyScale;
  secure_.spec().privacy = {.place = NoisePlace::kDiscreteGaussian,
                            .noise_multiplier = multiplier,
                            .delta = o.delta,
                            .amplified = false};
  return {};
}

Result<Model> StudyTraining::start_model(const FeatureSchema& schema, std::size_t base,
                                         std::span<const float> linear) const {
  if (options_.model == ModelKind::kLogit)
    return scaled_logit_model(schema, scaling_.deviation, linear);
  return sequence_scorer(
      schema,
      {.kind = options_.model == ModelKind::kDin ? SequenceKind::kDin : SequenceKind::kEdgeRec,
       .base_width = base,
       .mean = scaling_.mean,
       .deviation = scaling_.deviation,
       .linear = {linear.begin(), linear.end()},
       .past_rows = options_.past_rows,
       .seed = options_.seed});
}

Result<Model> StudyTraining::model(const FeatureSchema& schema, std::size_t base,
                                   std::span<const std::vector<Example>> people) {
  std::vector<std::vector<EncodedSlate>> slates(people.size());
  std::vector<Example> everyone;
  for (std::size_t i = 0; i < people.size(); ++i) {
    for (const Example& e : people[i]) slates[i].push_back(e.slate);
    everyone.insert(everyone.end(), people[i].begin(), people[i].end());
  }
  INK_CHECK_OK(scale(slates, base, schema.width()));
  if (is_private()) {
    const std::vector<float> nothing(schema.width(), 0.0f);
    INK_TRY(const Model drawn, start_model(schema, base, nothing));
    INK_TRY(const Model start, freeze_trunk(drawn));
    return train_federated(start, people, plan());
  }
  INK_TRY(const std::vector<float> linear, fit_logit(std::move(slates), schema.width()));
  INK_TRY(const Model start, start_model(schema, base, linear));
  if (options_.model == ModelKind::kLogit) return start;
  if (options_.federated) {
    INK_TRY(const Model trained, train_federated(start, people, plan()));
    return freeze_trunk(trained);
  }
  ScorerTrainingSpec training = options_.training;
  training.seed = options_.seed;
  INK_TRY(const Model trained, train_scorer(start, everyone, training, [&](int epoch, double loss) {
            progress_(concat("epoch ", epoch + 1, " of ", training.epochs, ": loss ", loss));
          }));
  return freeze_trunk(trained);
}

Result<FederatedRecord> StudyTraining::record() const {
  INK_TRY(const double epsilon, secure_.epsilon());
  return FederatedRecord{.sums = secure_.tally(), .epsilon = epsilon};
}

}  // namespace inkling::tools
