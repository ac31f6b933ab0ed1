// inkling privacy: what a device has given away, and what noise is worth.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "federated/privacy/ledger.h"
#include "tools/command.h"
#include "tools/console.h"
#include "tools/device_folder.h"

namespace inkling::tools {
namespace {

using namespace privacy;
using nlohmann::json;

std::string utc(std::int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::string text(20, '\0');
  text.resize(std::strftime(text.data(), text.size() + 1, "%Y-%m-%dT%H:%M:%SZ", &parts));
  return text;
}

struct ShowSpec {
  Path device;
  double delta = 1e-6;
  bool json = false;
};

json describe_entry(const LedgerEntry& entry) {
  return {{"when", utc(entry.when_ms)},
          {"task", to_hex(entry.task)},
          {"round", entry.round},
          {"attempt", entry.attempt},
          {"what", entry.what},
          {"bytes", entry.bytes},
          {"cohort_min", entry.cohort_min},
          {"noise", privacy::describe(entry.mechanism)}};
}

// A task's total: null where rounds without noise have no epsilon.
Result<json> describe_task(Ledger& ledger, const std::array<std::uint8_t, 16>& task, double delta) {
  INK_TRY(const auto uses, ledger.uses_of(task));
  INK_TRY(const Spent spent, uses.accountant.spent(delta));
  json row = {{"task", to_hex(task)},
              {"rounds_with_noise", uses.accountant.uses().size()},
              {"all_rounds_have_noise", !uses.has_unprotected},
              {"delta", delta},
              {"epsilon", spent.epsilon}};
  if (uses.has_unprotected) row["epsilon"] = nullptr;
  return row;
}

Result<void> show(const ShowSpec& spec, Console& console) {
  const Path path = spec.device / kDeviceLedgerName;
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return fail(ErrorCode::kNotFound, path.string(), ": no ledger; nothing has left this device");
  }
  INK_TRY(Ledger ledger, Ledger::open(path));
  INK_TRY(const auto entries, ledger.entries());
  std::set<std::array<std::uint8_t, 16>> tasks;
  json out = {{"schema_version", 1}, {"entries", json::array()}, {"tasks", json::array()}};
  for (const LedgerEntry& entry : entries) {
    out["entries"].push_back(describe_entry(entry));
    tasks.insert(entry.task);
  }
  for (const auto& task : tasks) {
    INK_TRY(json row, describe_task(ledger, task, spec.delta));
    out["tasks"].push_back(std::move(row));
  }
  if (spec.json) {
    console.out() << out.dump(2) << "\n";
    return {};
  }
  for (const LedgerEntry& entry : entries) {
    console.out() << utc(entry.when_ms) << "  task " << to_hex(entry.task) << " round "
                  << entry.round << "." << entry.attempt << "  " << entry.what << ", "
                  << entry.bytes << " bytes, among at least " << entry.cohort_min
                  << " devices, noise: " << privacy::describe(entry.mechanism) << "\n";
  }
  for (const json& row : out["tasks"]) {
    console.out() << "task " << row["task"].get<std::string>() << ": ";
    if (row["epsilon"].is_null()) {
      console.out() << "no epsilon, for rounds without noise\n";
    } else {
      console.out() << "epsilon " << row["epsilon"] << " at delta " << row["delta"] << "\n";
    }
  }
  return {};
}

struct NoiseSpec {
  double noise_multiplier = 1.0, sampling = 1.0, delta = 1e-6, epsilon = 1.0;
  std::uint64_t rounds = 1;
  bool tree = false, json = false;
};

void print(const json& figures, bool as_json, Console& console) {
  if (as_json) {
    console.out() << figures.dump(2) << "\n";
    return;
  }
  for (const auto& [name, value] : figures.items()) console.out() << name << " " << value << "\n";
}

Result<void> epsilon(const NoiseSpec& spec, Console& console) {
  Use use{
      .mechanism = Gaussian{.noise_multiplier = spec.noise_multiplier, .sampling = spec.sampling},
      .count = spec.rounds};
  if (spec.tree) {
    use = {.mechanism = Tree{.noise_multiplier = spec.noise_multiplier, .steps = spec.rounds}};
  }
  INK_TRY(const double rdp, epsilon_by(Method::kRdp, {&use, 1}, spec.delta));
  json figures = {{"delta", spec.delta}, {"epsilon_rdp", rdp}, {"epsilon", rdp}};
  if (!spec.tree) {
    INK_TRY(const double pld, epsilon_by(Method::kPld, {&use, 1}, spec.delta));
    figures["epsilon_pld"] = pld;
    figures["epsilon"] = std::min(rdp, pld);
  }
  print(figures, spec.json, console);
  return {};
}

Result<void> noise(const NoiseSpec& spec, Console& console) {
  const Budget budget{.epsilon = spec.epsilon, .delta = spec.delta};
  INK_TRY(const double rdp, calibrate_gaussian(Method::kRdp, spec.sampling, spec.rounds, budget));
  INK_TRY(const double pld, calibrate_gaussian(Method::kPld, spec.sampling, spec.rounds, budget));
  print({{"noise_multiplier_rdp", rdp},
         {"noise_multiplier_pld", pld},
         {"noise_multiplier", std::min(rdp, pld)}},
        spec.json, console);
  return {};
}

void add_show(CLI::App& privacy, Action& chosen) {
  auto spec = std::make_shared<ShowSpec>();
  CLI::App* app =
      privacy.add_subcommand("show", "List what has left a device, and what it is worth");
  app->add_option("--device", spec->device, "Folder of the device")->type_name("DIR")->required();
  app->add_option("--delta", spec->delta, "Delta of the totals")
      ->type_name("X")
      ->capture_default_str();
  app->add_flag("--json", spec->json, "Print one JSON object");
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return show(*spec, console); }; });
}

CLI::App* add_rounds(CLI::App& privacy, const char* name, const char* what, NoiseSpec& spec) {
  CLI::App* app = privacy.add_subcommand(name, what);
  app->add_option("--sampling", spec.sampling, "Probability with which a device is in a round")
      ->type_name("X")
      ->capture_default_str();
  app->add_option("--rounds", spec.rounds, "Rounds")->type_name("N")->capture_default_str();
  app->add_option("--delta", spec.delta, "Delta")->type_name("X")->capture_default_str();
  app->add_flag("--json", spec.json, "Print one JSON object");
  return app;
}

void add_epsilon(CLI::App& privacy, Action& chosen) {
  auto spec = std::make_shared<NoiseSpec>();
  CLI::App* app = add_rounds(privacy, "epsilon", "Say what noise is worth over a task", *spec);
  app->add_option("--noise-multiplier", spec->noise_multiplier,
                  "Deviation of the noise on a sum over its sensitivity")
      ->type_name("X")
      ->required();
  app->add_flag("--tree", spec->tree, "Noise in a tree over the rounds, without sampling");
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return epsilon(*spec, console); }; });
}

void add_noise(CLI::App& privacy, Action& chosen) {
  auto spec = std::make_shared<NoiseSpec>();
  CLI::App* app = add_rounds(privacy, "noise", "Find the least noise that keeps a budget", *spec);
  app->add_option("--epsilon", spec->epsilon, "Most that the task may come to")
      ->type_name("X")
      ->required();
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return noise(*spec, console); }; });
}

}  // namespace

void add_privacy(CLI::App& root, Action& chosen) {
  CLI::App* privacy =
      root.add_subcommand("privacy", "Show what has left a device, and account for noise");
  privacy->require_subcommand(1);
  add_show(*privacy, chosen);
  add_epsilon(*privacy, chosen);
  add_noise(*privacy, chosen);
}

}  // namespace inkling::tools
