#include "tools/simulation/experiment.h"

#include <algorithm>
#include <limits>

namespace inkling::tools {

namespace {

template <typename T>
Result<void> read_count(TomlReader& reader, std::string_view key, T& value) {
  std::uint64_t number = value;
  reader.read(key, number);
  if (number > std::numeric_limits<T>::max())
    return fail(ErrorCode::kInvalidArgument, key, " = ", number, ": too large");
  value = static_cast<T>(number);
  return {};
}

Result<void> read_algorithm(TomlReader& reader, AlgorithmSpec& algorithm) {
  reader.read("algorithm.name", algorithm.name);
  reader.read("algorithm.mu", algorithm.mu);
  reader.read("algorithm.personal", algorithm.personal);
  INK_CHECK_OK(read_count(reader, "algorithm.head_epochs", algorithm.head_epochs));
  INK_CHECK_OK(read_count(reader, "algorithm.local_rounds", algorithm.local_rounds));
  reader.read("algorithm.personal_rate", algorithm.personal_rate);
  INK_CHECK_OK(read_count(reader, "algorithm.concurrency", algorithm.concurrency));
  reader.read("algorithm.staleness_max", algorithm.staleness_max);
  reader.read("algorithm.clip_initial", algorithm.clip_initial);
  reader.read("algorithm.clip_quantile", algorithm.clip_quantile);
  reader.read("algorithm.clip_rate", algorithm.clip_rate);
  reader.read("algorithm.keep", algorithm.keep);
  INK_CHECK_OK(read_count(reader, "algorithm.sketch_rows", algorithm.sketch_rows));
  INK_CHECK_OK(read_count(reader, "algorithm.sketch_columns", algorithm.sketch_columns));
  ServerOptimizerSpec& server = algorithm.server;
  reader.read("algorithm.server_rate", server.rate);
  reader.read("algorithm.server_momentum", server.momentum);
  reader.read("algorithm.server_decay", server.decay);
  reader.read("algorithm.tau", server.tau);
  std::string rule = "fedavg";
  reader.read("algorithm.server_optimizer", rule);
  INK_TRY(server.rule, parse_server_rule(rule));
  return {};
}

Result<void> read_cohort(TomlReader& reader, SimulationSpec& spec) {
  CohortSpec& cohort = spec.cohort;
  INK_CHECK_OK(read_count(reader, "cohort.size", cohort.size));
  cohort.size_min = (cohort.size + 1) / 2;
  INK_CHECK_OK(read_count(reader, "cohort.size_min", cohort.size_min));
  reader.read("cohort.over_selection", cohort.over_selection);
  reader.read("cohort.deadline_s", cohort.deadline_s);
  reader.read("cohort.once", cohort.once);
  DeviceSpec& devices = spec.devices;
  reader.read("devices.enabled", devices.enabled);
  reader.read("devices.examples_per_s", devices.examples_per_s);
  reader.read("devices.speed_sigma", devices.speed_sigma);
  reader.read("devices.bytes_per_s", devices.bytes_per_s);
  reader.read("devices.bandwidth_sigma", devices.bandwidth_sigma);
  reader.read("devices.available", devices.available);
  reader.read("devices.drop", devices.drop);
  std::string kind = "none";
  reader.read("attack.kind", kind);
  INK_TRY(spec.attack.kind, attack_from(kind));
  reader.read("attack.fraction", spec.attack.fraction);
  reader.read("attack.strength", spec.attack.strength);
  return {};
}

Result<void> read_aggregation(TomlReader& reader, SimulationSpec& spec) {
  UpdateSpec& update = spec.update;
  reader.read("update.clip", update.clip_l2);
  reader.read("update.scale", update.scale);
  INK_CHECK_OK(read_count(reader, "update.ring_bits", update.ring_bits));
  reader.read("update.rotate", update.rotate);
  reader.read("update.weigh_by_examples", update.weigh_by_examples);
  INK_CHECK_OK(read_count(reader, "update.examples_max", update.examples_max));
  reader.read("aggregation.masked", spec.groups.masked);
  INK_CHECK_OK(read_count(reader, "aggregation.group", spec.groups.size));
  std::string rule = "mean";
  reader.read("aggregation.rule", rule);
  INK_TRY(spec.groups.rule, parse_group_rule(rule));
  reader.read("aggregation.hostile", spec.groups.hostile);
  reader.read("aggregation.norm_max", spec.groups.norm_max);
  INK_CHECK_OK(read_count(reader, "aggregation.root_examples", spec.groups.root_examples));
  return {};
}

Result<void> read_privacy(TomlReader& reader, PrivacySpec& privacy) {
  std::string place = "none";
  reader.read("privacy.noise", place);
  INK_TRY(privacy.place, noise_place_from(place));
  reader.read("privacy.noise_multiplier", privacy.noise_multiplier);
  reader.read("privacy.calibrated", privacy.calibrated);
  reader.read("privacy.epsilon", privacy.epsilon);
  reader.read("privacy.delta", privacy.delta);
  reader.read("privacy.amplified", privacy.amplified);
  return {};
}

void read_data(TomlReader& reader, DataSpec& data) {
  reader.read("data.set", data.set);
  reader.read("data.partition", data.partition);
  reader.read("data.clients", data.clients);
  reader.read("data.examples", data.examples);
  reader.read("data.alpha", data.alpha);
  reader.read("data.shards", data.shards);
  reader.read("data.path", data.path);
}

Result<PartitionPtr> make_partition(const DataSpec& spec, const TrainAndTest& sets,
                                    std::uint64_t seed) {
  const std::size_t examples = sets.train.size();
  const std::span<const std::uint32_t> labels = sets.train.labels();
  if (spec.partition == "uniform") return partition_uniform(examples, spec.clients, seed);
  if (spec.partition == "dirichlet")
    return partition_dirichlet(labels, spec.clients, spec.alpha, seed);
  if (spec.partition == "shards") return partition_shards(labels, spec.clients, spec.shards, seed);
  if (spec.partition == "quantity")
    return partition_quantity(examples, spec.clients, spec.alpha, seed);
  if (spec.partition == "sampled")
    return partition_sampled(labels, spec.clients, spec.examples, spec.alpha, seed);
  if (spec.partition != "natural") {
    return fail(ErrorCode::kInvalidArgument, "data.partition '", spec.partition,
                "': expected uniform, dirichlet, shards, quantity, sampled or natural");
  }
  if (sets.train_owner.empty())
    return fail(ErrorCode::kInvalidArgument, "data.partition natural: nobody owns the examples of ",
                spec.set);
  return partition_natural(sets.train_owner);
}

}  // namespace

Result<Experiment> read_experiment(TomlReader& reader) {
  Experiment experiment;
  SimulationSpec& spec = experiment.simulation;
  reader.read("seed", spec.seed);
  reader.read("rounds", spec.rounds);
  reader.read("evaluate_every", spec.evaluate_every);
  reader.read("checkpoint_every", experiment.checkpoint_every);
  INK_CHECK_OK(read_count(reader, "threads", spec.threads));
  read_data(reader, experiment.data);
  reader.read("model.name", spec.architecture.name);
  reader.read("model.hidden", spec.architecture.hidden);
  INK_CHECK_OK(read_count(reader, "local.epochs", spec.local.epochs));
  INK_CHECK_OK(read_count(reader, "local.batch", spec.local.batch));
  reader.read("local.rate", spec.local.rate);
  reader.read("local.momentum", spec.local.momentum);
  INK_CHECK_OK(read_algorithm(reader, spec.algorithm));
  INK_CHECK_OK(read_cohort(reader, spec));
  INK_CHECK_OK(read_aggregation(reader, spec));
  INK_CHECK_OK(read_privacy(reader, spec.privacy));
  INK_CHECK_OK(reader.finish());
  if (spec.rounds == 0) return fail(ErrorCode::kInvalidArgument, "rounds = 0: expected at least 1");
  return experiment;
}

Result<ExperimentData> load_experiment_data(const DataSpec& spec, std::uint64_t seed,
                                            DataSets& data_sets) {
  INK_TRY(auto sets, data_sets.get(spec.set, spec.path));
  INK_TRY(PartitionPtr partition, make_partition(spec, *sets, seed));
  PartitionPtr test_partition;
  if (spec.partition == "natural") {
    INK_TRY(test_partition, partition_owned(sets->test_owner, partition->clients()));
  }
  return ExperimentData{std::move(sets), std::move(partition), std::move(test_partition)};
}

}  // namespace inkling::tools
