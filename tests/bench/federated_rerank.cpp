// Whether the reranking model for everyone is as good when it is trained federated, and what noise
// costs it: a conditional logit over candidates' own columns and each person's history, trained by
// Newton's method on everybody's slates at one place, then by gradients of one person each that are
// clipped, rounded, masked and summed. Its figures stand in docs/benchmarks.md.
//
// Usage: bench_federated_rerank camera|margarine
//
// The columns' deviations and the taste prior are taken from the training slates as they are: both
// are sums over people, but they are not summed by secure aggregation here.

#include <cmath>
#include <cstdio>

#include "rerank/conditional_logit.h"
#include "rerank/learn/replay.h"
#include "rerank/learn/taste_prior.h"
#include "server-sim/simulation/simulation.h"
#include "tools/datasets/camera.h"
#include "tools/datasets/margarine.h"

namespace inkling {
namespace {

constexpr double kRidge = 10;
constexpr std::uint64_t kRounds = 100, kLongRounds = 400, kMaskedRounds = 2, kSeeds = 3;
constexpr double kDelta = 1e-4, kClip = 0.2;
constexpr std::size_t kGroup = 32;  // clients that mask together
// By `inkling privacy noise --rounds 100 --delta 1e-4 --epsilon E`, Renyi accounting.
struct Price {
  double epsilon, noise_multiplier;
};

struct Split {
  std::vector<EncodedSlate> slates;
  std::vector<std::uint32_t> owner;
};

struct Prepared {
  std::size_t width = 0, alternatives = 0, people = 0;
  Split train{}, test{};
};

Result<HistoryLayout> make_layout(const ChoiceData& data) {
  std::vector<std::vector<EncodedSlate>> slates;
  for (const Person& person : data.people) {
    auto& own = slates.emplace_back();
    for (const Slate& slate : person.train) {
      INK_TRY(own.emplace_back(), encode_slate(slate, data.schema));
    }
  }
  INK_TRY(TastePrior prior, fit_taste_prior(slates, data.schema.width()));
  return HistoryLayout::create(data.schema, {.taste = std::move(prior)});
}

// One pull and one rate suit all weights when every column has the same spread.
void scale_columns(Prepared& p) {
  std::vector<double> sum(p.width, 0.0), squares(p.width, 0.0);
  double rows = 0;
  for (const EncodedSlate& slate : p.train.slates) {
    rows += static_cast<double>(slate.alternatives);
    for (std::size_t i = 0; i < slate.features.size(); ++i) {
      const auto v = static_cast<double>(slate.features[i]);
      sum[i % p.width] += v;
      squares[i % p.width] += v * v;
    }
  }
  for (Split* split : {&p.train, &p.test}) {
    for (EncodedSlate& slate : split->slates) {
      for (std::size_t i = 0; i < slate.features.size(); ++i) {
        const double mean = sum[i % p.width] / rows;
        const double deviation = std::sqrt(squares[i % p.width] / rows - mean * mean);
        if (deviation > 1e-6)
          slate.features[i] =
              static_cast<float>(static_cast<double>(slate.features[i]) / deviation);
      }
    }
  }
}

Result<Prepared> prepare(const ChoiceData& data) {
  INK_TRY(const HistoryLayout layout, make_layout(data));
  Prepared p{.width = layout.schema().width(), .people = data.people.size()};
  for (std::size_t person = 0; person < data.people.size(); ++person) {
    History history(layout);
    for (const bool training : {true, false}) {
      const Person& own = data.people[person];
      INK_TRY(const auto examples, replay(history, training ? own.train : own.test));
      Split& split = training ? p.train : p.test;
      for (const Example& e : examples) {
        split.slates.push_back(e.slate);
        split.owner.push_back(static_cast<std::uint32_t>(person));
        p.alternatives = e.slate.alternatives;
      }
    }
  }
  scale_columns(p);
  return p;
}

Result<ExampleSet> example_set(const Prepared& p, const Split& split) {
  std::vector<float> values;
  std::vector<std::uint32_t> labels;
  for (const EncodedSlate& slate : split.slates) {
    values.insert(values.end(), slate.features.begin(), slate.features.end());
    labels.push_back(static_cast<std::uint32_t>(slate.chosen.front()));
  }
  return ExampleSet::from_values(
      {static_cast<std::int64_t>(p.alternatives), static_cast<std::int64_t>(p.width)},
      std::move(values), std::move(labels), static_cast<std::uint32_t>(p.alternatives));
}

SimulationSpec spec_of(const Prepared& p) {
  SimulationSpec spec{.rounds = kRounds, .evaluate_every = kRounds};
  spec.architecture.name = "conditional_logit";
  spec.local = {.epochs = 1, .batch = 64, .rate = 0.2};
  spec.algorithm.name = "fedavgm";
  spec.cohort = {.size = p.people, .size_min = p.people};
  spec.update.clip_l2 = kClip;
  return spec;
}

void show(const char* what, const Evaluation& e, double loss) {
  std::printf("%-34s top-1 %.4f  NLL %.4f  (training loss %.4f)\n", what, e.accuracy, e.nll, loss);
}

Result<RoundRecord> play(Simulation& simulation, std::uint64_t rounds) {
  RoundRecord last;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    INK_TRY(last, simulation.play_round());
  }
  return last;
}

// The same few rounds, masked by the real machines and in the clear.
Result<bool> masking_changes_nothing(SimulationSpec spec, const SimulationData& data) {
  spec.groups.size = kGroup;
  spec.evaluate_every = spec.rounds = kMaskedRounds;
  std::vector<Sha256Digest> digests;
  for (const bool masked : {false, true}) {
    spec.groups.masked = masked;
    INK_TRY(Simulation simulation, Simulation::create(spec, data));
    INK_CHECK_OK(play(simulation, kMaskedRounds));
    digests.push_back(simulation.model_digest());
  }
  return digests[0] == digests[1];
}

Result<void> measure(const ChoiceData& choices, std::span<const Price> prices) {
  INK_TRY(const Prepared p, prepare(choices));
  INK_TRY(const ExampleSet train, example_set(p, p.train));
  INK_TRY(const ExampleSet test, example_set(p, p.test));
  INK_TRY(const PartitionPtr partition, partition_natural(p.train.owner));
  const SimulationData data{&train, &test, partition.get()};
  const SimulationSpec spec = spec_of(p);

  INK_TRY(
      const ConditionalLogitFit fit,
      fit_conditional_logit(p.train.slates, p.width, {.ridge = kRidge, .gradient_norm_max = 1e-6}));
  INK_TRY(Evaluator evaluator, Evaluator::create(spec.architecture, test, 1));
  ThreadPool pool;
  const std::vector<float> weights(fit.weights.begin(), fit.weights.end());
  show("central", evaluator.measure(weights, pool), fit.nll);

  INK_TRY(Simulation clear, Simulation::create(spec, data));
  INK_TRY(const RoundRecord federated, play(clear, kRounds));
  show("federated", *federated.evaluation, federated.loss);
  // What the central fit minimises: every slate counts alike, until the loss stops falling.
  SimulationSpec longer = spec;
  longer.rounds = longer.evaluate_every = kLongRounds;
  longer.update.weigh_by_examples = true;
  INK_TRY(Simulation patient, Simulation::create(longer, data));
  INK_TRY(const RoundRecord converged, play(patient, kLongRounds));
  show("federated, 400 rounds, by slates", *converged.evaluation, converged.loss);
  for (const Price& price : prices) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      SimulationSpec noisy = spec;
      noisy.seed = seed;
      noisy.privacy = {.place = NoisePlace::kDiscreteGaussian,
                       .noise_multiplier = price.noise_multiplier,
                       .delta = kDelta,
                       .amplified = false};
      INK_TRY(Simulation simulation, Simulation::create(noisy, data));
      INK_TRY(const RoundRecord last, play(simulation, kRounds));
      char what[64];
      std::snprintf(what, sizeof what, "epsilon %.3f, seed %d", last.epsilon,
                    static_cast<int>(seed));
      show(what, *last.evaluation, last.loss);
    }
  }
  INK_TRY(const bool same, masking_changes_nothing(spec, data));
  std::printf("masked and in the clear: %s\n", same ? "the same model" : "DIFFERENT MODELS");
  if (!same) return fail(ErrorCode::kFailedPrecondition, "masking changed the model");
  return {};
}

}  // namespace
}  // namespace inkling

int main(int argc, char** argv) {
  using namespace inkling;
  const std::string name = argc == 2 ? argv[1] : "";
  if (name != "camera" && name != "margarine") {
    std::fprintf(stderr, "usage: bench_federated_rerank camera|margarine\n");
    return 2;
  }
  const auto data = name == "camera" ? load_camera() : load_margarine();
  constexpr Price kPrices[] = {{8, 5.818}, {4, 10.375}, {2, 18.939}};
  const auto done = data ? measure(*data, kPrices) : Result<void>(tl::unexpected(data.error()));
  if (!done) std::fprintf(stderr, "bench_federated_rerank: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
