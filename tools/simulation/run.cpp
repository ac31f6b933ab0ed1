#include "tools/simulation/run.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "tools/measure.h"
#include "tools/version.h"

namespace inkling::tools {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kCheckpointBytesMax = std::uint64_t{4} << 30;
constexpr double kMicroseconds = 1e6;

Json round_json(const RoundRecord& r) {
  Json json = {{"round", r.round},        {"complete", r.complete}, {"asked", r.asked},
               {"reported", r.reported},  {"lost", r.lost},         {"examples", r.examples},
               {"loss", r.loss},          {"bytes_up", r.bytes_up}, {"bytes_down", r.bytes_down},
               {"virtual_s", r.virtual_s}};
  if (r.evaluation) {
    json["accuracy"] = r.evaluation->accuracy;
    json["nll"] = r.evaluation->nll;
    json["epsilon"] = r.epsilon;
    if (r.personal) {
      json["personal_accuracy"] = r.personal->accuracy;
      json["personal_nll"] = r.personal->nll;
    }
    if (r.evaluation->order) {
      json["gauc"] = r.evaluation->order->gauc;
      json["ndcg"] = r.evaluation->order->ndcg;
    }
  }
  return json;
}

Result<void> write_text(const Path& path, const std::string& text) {
  return write_file(path, as_bytes(text));
}

// Each round as a slice on the virtual clock (Trace Event Format).
std::string trace_json(std::span<const RoundRecord> rounds) {
  Json events = Json::array();
  double begin = 0;
  for (const RoundRecord& r : rounds) {
    events.push_back({{"name", concat("round ", r.round)},
                      {"ph", "X"},
                      {"pid", 1},
                      {"tid", 1},
                      {"ts", begin * kMicroseconds},
                      {"dur", (r.virtual_s - begin) * kMicroseconds},
                      {"args", round_json(r)}});
    begin = r.virtual_s;
  }
  return Json{{"traceEvents", events}}.dump() + "\n";
}

// Lines of rounds that a checkpoint does not cover are cut off: those rounds are played again.
Result<void> keep_lines(const Path& path, std::uint64_t count) {
  INK_TRY(const Bytes bytes, read_file(path));
  std::size_t end = 0;
  for (std::uint64_t line = 0; line < count; ++line) {
    const std::size_t newline = as_text(bytes).find('\n', end);
    if (newline == std::string_view::npos)
      return fail(ErrorCode::kCorrupt, path.string(), ": ", line, " rounds, the checkpoint has ",
                  count);
    end = newline + 1;
  }
  return write_file(path, ByteSpan(bytes).first(end));
}

bool writes(const RunSpec& spec) { return spec.ranks == nullptr || spec.ranks->rank() == 0; }

// All ranks see the folder.
Result<void> begin_folder(const RunSpec& spec, Simulation& simulation) {
  const Path metrics = spec.out / "metrics.jsonl", checkpoint = spec.out / "checkpoint.bin";
  if (spec.resume && std::filesystem::exists(checkpoint)) {
    INK_TRY(const Bytes bytes, read_file(checkpoint, kCheckpointBytesMax));
    INK_CHECK_OK(simulation.restore(bytes));
    if (!writes(spec)) return {};
    return keep_lines(metrics, simulation.rounds_played());
  }
  if (!writes(spec)) return {};
  if (!spec.resume && std::filesystem::exists(metrics)) {
    return fail(ErrorCode::kFailedPrecondition, spec.out.string(),
                ": holds a run already: choose another --out, or --resume it");
  }
  INK_CHECK_OK(write_text(metrics, ""));
  const Json run = {{"schema_version", 1},
                    {"inkling", version_text()},
                    {"seed", spec.experiment.simulation.seed},
                    {"settings", spec.settings}};
  return write_text(spec.out / "run.json", run.dump(2) + "\n");
}

Json summary_json(const RunSpec& spec, const RunResult& result, const Simulation& simulation,
                  std::uint64_t bytes_up, const RoundRecord& last) {
  Json json = {{"schema_version", 1},
               {"inkling", version_text()},
               {"seed", spec.experiment.simulation.seed},
               {"rounds", simulation.rounds_played()},
               {"clients_trained", simulation.clients_trained()},
               {"accuracy", result.final.accuracy},
               {"nll", result.final.nll},
               {"epsilon", last.epsilon},
               {"noise_multiplier", result.noise_multiplier},
               {"virtual_hours", last.virtual_s / 3600},
               {"bytes_up", bytes_up},
               {"model_sha256", result.model_sha256},
               {"clients_per_second", result.clients_per_second},
               {"peak_rss_mb", result.peak_rss_mb},
               {"seconds", result.seconds}};
  if (result.personal) {
    json["personal_accuracy"] = result.personal->accuracy;
    json["personal_nll"] = result.personal->nll;
  }
  return json;
}

}  // namespace

Result<RunResult> run_experiment(const RunSpec& spec, const ExperimentData& data,
                                 const std::function<void(const RoundRecord&)>& on_round) {
  const auto start = steady_now();
  const SimulationSpec& experiment = spec.experiment.simulation;
  INK_TRY(Simulation simulation, Simulation::create(experiment, data.view(), spec.ranks));
  INK_CHECK_OK(begin_folder(spec, simulation));
  const bool is_writer = writes(spec);
  std::ofstream metrics;
  if (is_writer) metrics.open(spec.out / "metrics.jsonl", std::ios::app);
  RunResult result;
  const std::uint64_t trained_before = simulation.clients_trained();
  std::uint64_t bytes_up = 0;
  while (simulation.rounds_played() < experiment.rounds) {
    INK_TRY(RoundRecord record, simulation.play_round());
    if (is_writer) metrics << round_json(record).dump() << "\n" << std::flush;
    if (!metrics)
      return fail(ErrorCode::kIo, (spec.out / "metrics.jsonl").string(), ": could not be written");
    bytes_up += record.bytes_up;
    if (record.evaluation) result.final = *record.evaluation;
    if (record.personal) result.personal = record.personal;
    on_round(record);
    result.rounds.push_back(std::move(record));
    const std::uint64_t every = spec.experiment.checkpoint_every;
    if (is_writer && every > 0 && simulation.rounds_played() % every == 0)
      INK_CHECK_OK(write_file(spec.out / "checkpoint.bin", simulation.save()));
  }
  result.model_sha256 = to_hex(simulation.model_digest());
  result.seconds = seconds_since(start);
  result.peak_rss_mb = peak_rss_mb();
  const auto trained = static_cast<double>(simulation.clients_trained() - trained_before);
  result.clients_per_second = trained / std::max(simulation.training_seconds(), 1e-9);
  result.noise_multiplier = simulation.noise_multiplier();
  const RoundRecord last = result.rounds.empty() ? RoundRecord{} : result.rounds.back();
  result.epsilon = last.epsilon;
  if (!is_writer) return result;
  INK_CHECK_OK(write_text(spec.out / "trace.json", trace_json(result.rounds)));
  const auto parameters = simulation.parameters();
  INK_CHECK_OK(write_file(
      spec.out / "model.f32",
      {reinterpret_cast<const std::uint8_t*>(parameters.data()), parameters.size_bytes()}));
  INK_CHECK_OK(write_text(spec.out / "summary.json",
                          summary_json(spec, result, simulation, bytes_up, last).dump(2) + "\n"));
  return result;
}

}  // namespace inkling::tools
