#include <algorithm>
#include <array>

#include "rerank/conditional_logit.h"
#include "rerank/learn/personaliser.h"
#include "rerank/reranker.h"
#include "runtime/base/thread_pool.h"
#include "tools/console.h"
#include "tools/datasets/camera.h"
#include "tools/demo/stages.h"
#include "tools/device_folder.h"
#include "tools/measure.h"

namespace inkling::tools {

namespace {

constexpr std::array<double, 8> kPulls = {.01, .03, .1, .3, 1, 3, 10, 30};
constexpr std::size_t kHeldBack = 3;  // of a person's training slates, to choose the pull

// What one device learnt: a patch a pull, and what each pull did on the slates that it held back.
struct Learnt {
  std::array<Patch, kPulls.size()> patches;
  std::vector<double> held_back;
};

using DeviceSlates = std::vector<std::vector<EncodedSlate>>;

Result<Learnt> learn(Personaliser& personaliser, std::span<const EncodedSlate> slates) {
  Learnt learnt;
  INK_TRY(learnt.held_back, personaliser.held_back_nll(slates, kHeldBack, kPulls));
  for (std::size_t i = 0; i < kPulls.size(); ++i) {
    INK_TRY(auto patch, personaliser.personalise(slates, kPulls[i]));
    if (!patch) return fail(ErrorCode::kFailedPrecondition, "rerank: a device without slates");
    learnt.patches[i] = *std::move(patch);
  }
  return learnt;
}

// Every device by itself; each of the crew has one planned trainer for all the devices it gets.
Result<std::vector<Learnt>> learn_all(const Model& global, const DeviceSlates& devices,
                                      const DemoOptions& options, RerankResult& result) {
  std::vector<Personaliser> personalisers;
  for (unsigned i = 0; i < std::max(options.threads, 1u); ++i) {
    INK_TRY(Personaliser planned,
            Personaliser::create(global, {.slates_max = kCameraTrainTasks,
                                          .alternatives_max = kCameraAlternatives}));
    personalisers.push_back(std::move(planned));
  }
  result.training_memory_bytes = personalisers.front().memory_bytes();
  std::vector<Result<Learnt>> outcomes(devices.size());
  ThreadPool pool(options.threads);
  pool.parallel_for(devices.size(), 1, [&](std::size_t begin, std::size_t end, unsigned worker) {
    for (std::size_t i = begin; i < end; ++i)
      outcomes[i] = learn(personalisers[worker], devices[i]);
  });
  std::vector<Learnt> all;
  for (auto& outcome : outcomes) {
    INK_TRY(all.emplace_back(), std::move(outcome));
  }
  return all;
}

// Serves each person's test slates as an app would, with the patch that `patch_of` gives.
template <typename PatchOf>
Result<std::vector<ScoredSlate>> serve(Reranker& reranker, const ChoiceData& data,
                                       const PatchOf& patch_of) {
  std::vector<ScoredSlate> served;
  for (std::size_t i = 0; i < data.people.size(); ++i) {
    if (const Patch* patch = patch_of(i)) {
      INK_CHECK_OK(reranker.set_patch(*patch));
    } else {
      INK_CHECK_OK(reranker.clear_patch());
    }
    for (const Slate& slate : data.people[i].test) {
      INK_TRY(Ranking ranking, reranker.rerank(slate.candidates));
      ScoredSlate scored{.user = slate.user, .scores = std::move(ranking.scores)};
      scored.relevant.assign(slate.candidates.size(), 0);
      for (const std::size_t place : slate.chosen) scored.relevant[place] = 1;
      served.push_back(std::move(scored));
    }
  }
  return served;
}

Result<Interval> interval(Metric metric, std::span<const ScoredSlate> slates, std::uint64_t seed) {
  INK_TRY(const auto values, evaluate(metric, slates));
  Rng rng(seed, "bootstrap");
  return bootstrap_mean(values, rng);
}

Result<ModelQuality> quality(std::span<const ScoredSlate> slates, std::uint64_t seed) {
  ModelQuality q;
  INK_TRY(q.top1, interval(Metric::kTop1, slates, seed));
  INK_TRY(q.ndcg, interval(Metric::kNdcg, slates, seed));
  INK_TRY(q.nll, interval(Metric::kNll, slates, seed));
  return q;
}

double mean_of(std::span<const SlateValue> values) {
  double total = 0;
  for (const SlateValue& v : values) total += v.value;
  return total / static_cast<double>(values.size());
}

// The share of people whose loss is higher in `personal`. Both hold the same slates, a person's
// together.
double share_worse(std::span<const SlateValue> global, std::span<const SlateValue> personal) {
  std::size_t people = 0, worse = 0;
  for (std::size_t begin = 0, end = 0; begin < global.size(); begin = end, ++people) {
    double difference = 0;
    for (; end < global.size() && global[end].user == global[begin].user; ++end)
      difference += personal[end].value - global[end].value;
    worse += difference > 0;
  }
  return static_cast<double>(worse) / static_cast<double>(people);
}

// The curve over pulls, and the pull with the lowest loss on held-back training slates.
Result<std::size_t> compare_pulls(Reranker& reranker, const ChoiceData& data,
                                  std::span<const Learnt> learnt, RerankResult& result) {
  std::size_t best = 0;
  for (std::size_t p = 0; p < kPulls.size(); ++p) {
    PullResult row{.pull = kPulls[p]};
    for (const Learnt& l : learnt) row.held_back_nll += l.held_back[p];
    row.held_back_nll /= static_cast<double>(learnt.size() * kHeldBack);
    INK_TRY(const auto served,
            serve(reranker, data, [&](std::size_t i) { return &learnt[i].patches[p]; }));
    INK_TRY(const auto nll, evaluate(Metric::kNll, served));
    INK_TRY(const auto top1, evaluate(Metric::kTop1, served));
    row.test_nll = mean_of(nll);
    row.test_top1 = mean_of(top1);
    result.pulls.push_back(row);
    if (row.held_back_nll < result.pulls[best].held_back_nll) best = p;
  }
  result.pull = kPulls[best];
  return best;
}

// The exact optimum over all devices' slates together: what federated training is held against.
Result<Model> train_global(const ChoiceData& data, const DeviceSlates& devices,
                           RerankResult& result) {
  std::vector<EncodedSlate> all;
  for (const auto& slates : devices) all.insert(all.end(), slates.begin(), slates.end());
  result.train_slates = all.size();
  INK_TRY(const ConditionalLogitFit fit, fit_conditional_logit(all, data.schema.width()));
  result.global_weights.assign(fit.weights.begin(), fit.weights.end());
  return conditional_logit_model(data.schema, result.global_weights);
}

// The global order against that with the patch that each device has stored.
Result<void> measure(Reranker& reranker, const ChoiceData& data, const DemoOptions& options,
                     RerankResult& result) {
  INK_TRY(const std::vector<Patch> patches, load_patches(options.out, data));
  INK_TRY(const auto by_global,
          serve(reranker, data, [](std::size_t) -> const Patch* { return nullptr; }));
  INK_TRY(const auto by_person, serve(reranker, data, [&](std::size_t i) { return &patches[i]; }));
  INK_TRY(result.global, quality(by_global, options.seed));
  INK_TRY(result.personal, quality(by_person, options.seed));
  INK_TRY(const auto global_nll, evaluate(Metric::kNll, by_global));
  INK_TRY(const auto personal_nll, evaluate(Metric::kNll, by_person));
  Rng rng(options.seed, "bootstrap");
  INK_TRY(result.nll_gain, bootstrap_difference(global_nll, personal_nll, rng));
  result.people_worse = share_worse(global_nll, personal_nll);
  result.test_slates = by_global.size();
  return {};
}

}  // namespace

Result<ModelQuality> measure_model(Model model, const ChoiceData& data, std::uint64_t seed) {
  const SystemClock clock;
  Reranker reranker(data.schema, clock);
  INK_CHECK_OK(reranker.set_model(std::move(model)));
  INK_TRY(const auto served,
          serve(reranker, data, [](std::size_t) -> const Patch* { return nullptr; }));
  return quality(served, seed);
}

Result<RerankResult> run_rerank(const DemoOptions& options, Console& console) {
  const auto start = steady_now();
  INK_TRY(const ChoiceData data, load_camera(options.camera));
  RerankResult result{.people = data.people.size()};
  console.progress(concat("logging the behaviour of ", result.people, " people"));
  INK_CHECK_OK(record_devices(options.out, data));
  INK_TRY(const DeviceSlates devices, load_devices(options.out, data));
  result.log_seconds = seconds_since(start);

  console.progress("training the global model and a patch for each person");
  const auto train_start = steady_now();
  INK_TRY(Model global, train_global(data, devices, result));
  INK_TRY(const std::vector<Learnt> learnt, learn_all(global, devices, options, result));
  result.train_seconds = seconds_since(train_start);

  const SystemClock clock;
  Reranker reranker(data.schema, clock);
  INK_CHECK_OK(reranker.set_model(std::move(global)));
  INK_TRY(const std::size_t best, compare_pulls(reranker, data, learnt, result));

  console.progress("serving the test slates");
  std::vector<Patch> chosen;
  for (const Learnt& l : learnt) chosen.push_back(l.patches[best]);
  INK_CHECK_OK(save_patches(options.out, data, chosen));
  INK_TRY(const Bytes patch, encode_patch(chosen.front()));
  result.patch_bytes = patch.size();
  INK_CHECK_OK(measure(reranker, data, options, result));
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace inkling::tools
