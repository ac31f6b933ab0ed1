#include <algorithm>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "federated/enrolment.h"
#include "federated/participant.h"
#include "rerank/conditional_logit.h"
#include "runtime/base/clock.h"
#include "server-sim/coordinator/round_store.h"
#include "server-sim/pki/authority.h"
#include "tools/console.h"
#include "tools/datasets/camera.h"
#include "tools/demo/process.h"
#include "tools/demo/stages.h"
#include "tools/device_folder.h"
#include "tools/keys.h"
#include "tools/measure.h"

namespace inkling::tools {

namespace {

constexpr std::size_t kRounds = 9, kCohort = 48, kCohortMin = 40;
constexpr std::size_t kDrillRound =
    2;  // one device of this round is killed after it has shared its keys
constexpr std::size_t kLocalSteps = 2;
// Chosen on the training slates: of the rates and step counts tried, the lowest training loss.
constexpr double kRate = 1.0, kClip = 4.0;
constexpr unsigned kRingBits = 32;

// Where things are.
struct Layout {
  Path out, folder, keys, state, server_identity, first_model, port;
  explicit Layout(const Path& demo_out)
      : out(demo_out),
        folder(out / "federated"),
        keys(folder / "keys"),
        state(folder / "state"),
        server_identity(folder / "server.identity"),
        first_model(folder / "first.ink"),
        port(folder / "port") {}
};

secagg::ClientId client_id(UserId person) {
  const Sha256Digest digest = sha256(as_bytes(concat("demo device ", person)));
  secagg::ClientId id{};
  std::copy_n(digest.begin(), id.size(), id.begin());
  return id;
}

// Keys for everyone, as an operator would make them with inkling ca.
Result<void> make_keys(const Layout& at, const ChoiceData& data) {
  const std::int64_t now_ms = SystemClock().unix_ms();
  INK_CHECK_OK(create_authority({.folder = at.keys,
                                 .hosts = {"127.0.0.1"},
                                 .now_unix_ms = now_ms,
                                 .days = 7,
                                 .overwrite = true}));
  INK_TRY(const secagg::SigningKey authority, read_authority_key(at.keys / "identity.key"));
  secagg::SystemEntropy entropy;
  const std::int64_t not_after_ms = now_ms + std::int64_t{7} * 24 * 3600 * 1000;
  INK_TRY(const auto server,
          federated::enrol(authority, secagg::Role::kServer, client_id(0), not_after_ms, entropy));
  INK_CHECK_OK(federated::save_identity(server, at.server_identity));
  for (const Person& person : data.people) {
    INK_TRY(const auto device, federated::enrol(authority, secagg::Role::kClient,
                                                client_id(person.user), not_after_ms, entropy));
    INK_CHECK_OK(
        federated::save_identity(device, device_folder(at.out, person.user) / kDeviceIdentityName));
  }
  return {};
}

Result<Process> start_server(const Layout& at, std::string& port) {
  const std::vector<std::string> arguments = {"serve",
                                              "--state",
                                              at.state,
                                              "--keys",
                                              at.keys,
                                              "--identity",
                                              at.server_identity,
                                              "--model",
                                              at.first_model,
                                              "--port",
                                              "0",
                                              "--port-file",
                                              at.port,
                                              "--rounds",
                                              concat(kRounds),
                                              "--cohort",
                                              concat(kCohort),
                                              "--cohort-min",
                                              concat(kCohortMin),
                                              "--drop",
                                              "0.1",
                                              "--steps",
                                              concat(kLocalSteps),
                                              "--rate",
                                              concat(kRate),
                                              "--clip",
                                              concat(kClip),
                                              "--ring-bits",
                                              concat(kRingBits),
                                              "--phase-s",
                                              "60",
                                              "--masking-s",
                                              "8"};
  INK_TRY(Process server,
          Process::start_self(arguments, at.folder / "server.out", at.folder / "server.log"));
  for (int i = 0; i < 200; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (!server.running()) break;
    if (const auto text = read_file(at.port, 16)) {
      port = as_text(*text);
      return server;
    }
  }
  return fail(ErrorCode::kFailedPrecondition, "the server did not start: see ",
              (at.folder / "server.log").string());
}

Result<Process> start_device(const Layout& at, UserId person, const std::string& port,
                             std::uint64_t seed, bool drill) {
  const Path folder = device_folder(at.out, person);
  std::vector<std::string> arguments = {"join",
                                        "--host",
                                        "127.0.0.1",
                                        "--port",
                                        port,
                                        "--tls-ca",
                                        at.keys / "tls-ca.pem",
                                        "--authority",
                                        at.keys / "identity.pub",
                                        "--identity",
                                        folder / kDeviceIdentityName,
                                        "--device",
                                        folder,
                                        "--cohort-min",
                                        concat(kCohortMin),
                                        "--keep-input",
                                        "--rounding-seed",
                                        concat(seed)};
  if (drill) arguments.insert(arguments.end(), {"--pause-after", "shares"});
  return Process::start_self(arguments, folder / "join.json", folder / "join.log");
}

// Messages of the devices that took part to the end of their round.
struct Traffic {
  double up = 0, down = 0;
  std::size_t devices = 0;
};

// What a device printed about the round that it played.
Result<void> add_traffic(const Path& folder, Traffic& traffic) {
  INK_TRY(const Bytes text, read_file(folder / "join.json", 4096));
  const auto line = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!line.is_object() || !line.contains("bytes_up")) {
    return fail(ErrorCode::kFailedPrecondition, "federated: ", folder.string(),
                " did not report a round: see join.log there");
  }
  if (!line.value("accepted", false)) return {};  // dropped for being late
  traffic.up += line["bytes_up"].get<double>();
  traffic.down += line["bytes_down"].get<double>();
  ++traffic.devices;
  return {};
}

// The cohort of a round: a seeded draw of the people, the same on every machine.
std::vector<UserId> draw_cohort(const ChoiceData& data, std::uint64_t seed, std::size_t round) {
  std::vector<UserId> people;
  for (const Person& person : data.people) people.push_back(person.user);
  Rng(seed, "cohort", round).shuffle(people);
  people.resize(std::min(people.size(), kCohort));
  return people;
}

Result<void> play_round(const Layout& at, const ChoiceData& data, const std::string& port,
                        std::uint64_t seed, std::size_t round, FederatedResult& result,
                        Traffic& traffic) {
  const std::vector<UserId> cohort = draw_cohort(data, seed, round);
  std::vector<Process> devices;
  for (const UserId person : cohort) {
    const bool drill = round == kDrillRound && person == cohort.front();
    INK_TRY(Process device, start_device(at, person, port, seed * 1000 + round, drill));
    devices.push_back(std::move(device));
  }
  result.processes += devices.size();
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (round == kDrillRound && i == 0) {
      INK_CHECK_OK(devices[i].wait_stopped());
      devices[i].send(SIGKILL);
      (void)devices[i].wait();  // ended by that signal
      continue;
    }
    INK_TRY(const int status, devices[i].wait());
    const Path folder = device_folder(at.out, cohort[i]);
    if (status != 0) {
      return fail(ErrorCode::kFailedPrecondition, "federated: a device of round ", round,
                  " ended with status ", status, ": see ", (folder / "join.log").string());
    }
    INK_CHECK_OK(add_traffic(folder, traffic));
  }
  return {};
}

// The ring values that a device masked, from its own record.
Result<std::vector<std::uint64_t>> device_input(const Layout& at, UserId person,
                                                const secagg::Attempt& attempt) {
  INK_TRY(KeyValue state, KeyValue::open(device_folder(at.out, person) / kDeviceStateName));
  INK_TRY(const Bytes bytes, state.get(federated::input_key(attempt)));
  std::vector<std::uint64_t> values;
  for (ByteReader reader(bytes); reader.remaining() >= 8;) values.push_back(reader.u64());
  return values;
}

// Adds up what the survivors of a round say they masked, and compares with what the server
// unmasked.
Result<bool> sums_agree(const Layout& at, const ChoiceData& data, const RoundReport& report) {
  std::vector<std::uint64_t> plain(report.sum.size(), 0);
  const std::uint64_t ring_mask = (std::uint64_t{1} << kRingBits) - 1;
  std::uint32_t survivors = 0;
  for (const Person& person : data.people) {
    const secagg::ClientId id = client_id(person.user);
    const auto is = [&](const auto& client) { return client == id; };
    const bool member = std::any_of(report.roster.begin(), report.roster.end(), is);
    const bool lost =
        std::any_of(report.dropped.begin(), report.dropped.end(), [&](const DroppedClient& d) {
          return d.client == id && d.phase <= static_cast<int>(secagg::ServerPhase::kMasking);
        });
    if (!member || lost) continue;
    ++survivors;
    INK_TRY(const auto values, device_input(at, person.user, report.attempt));
    if (values.size() != plain.size()) return false;
    for (std::size_t i = 0; i < plain.size(); ++i) plain[i] = (plain[i] + values[i]) & ring_mask;
  }
  return survivors == report.survivors && plain == report.sum;
}

Result<void> compare_sums(const Layout& at, const ChoiceData& data, RoundStore& store,
                          FederatedResult& result) {
  INK_TRY(const auto reports, store.reports());
  result.masked_equals_plain = !reports.empty();
  result.dropped_clients = 0;
  for (const RoundReport& report : reports) {
    result.dropped_clients += report.dropped.size();
    if (report.code != secagg::RoundCode::kOk) {
      ++result.attempts_failed;
      continue;
    }
    ++result.rounds;
    result.elements_compared += report.sum.size();
    INK_TRY(const bool agree, sums_agree(at, data, report));
    result.masked_equals_plain = result.masked_equals_plain && agree;
  }
  return {};
}

Result<void> measure_models(RoundStore& store, const ChoiceData& data, std::uint64_t seed,
                            FederatedResult& result) {
  INK_TRY(const auto models, store.models());
  for (const Bytes& bytes : models) {
    const auto owner = std::make_shared<const Bytes>(bytes);
    INK_TRY(Model model, decode_model(*owner, owner));
    INK_TRY(result.global, measure_model(std::move(model), data, seed));
    result.nll_by_round.push_back(result.global.nll.mean);
    result.top1_by_round.push_back(result.global.top1.mean);
  }
  return {};
}

}  // namespace

Result<FederatedResult> run_federated(const DemoOptions& options, Console& console) {
  const auto start = steady_now();
  FederatedResult result{.cohort = kCohort};
  const Layout at(options.out);
  std::error_code error;
  std::filesystem::remove_all(at.folder, error);
  if (error) return fail(ErrorCode::kIo, "empty ", at.folder.string(), ": ", error.message());
  INK_TRY(const ChoiceData data, load_camera(options.camera));
  INK_CHECK_OK(make_keys(at, data));
  const std::vector<float> zeros(data.schema.width(), 0.0f);
  INK_TRY(const Model first, conditional_logit_model(data.schema, zeros));
  INK_CHECK_OK(save_model(first, at.first_model));

  std::string port;
  INK_TRY(Process server, start_server(at, port));
  Traffic traffic;
  for (std::size_t round = 1; round <= kRounds; ++round) {
    console.progress(concat("federated round ", round, " of ", kRounds, ": ", kCohort, " devices"));
    INK_CHECK_OK(play_round(at, data, port, options.seed, round, result, traffic));
  }
  server.send(SIGTERM);
  (void)server.wait();  // ended by that signal
  const auto devices = static_cast<double>(std::max<std::size_t>(traffic.devices, 1));
  result.bytes_up_per_client = traffic.up / devices;
  result.bytes_down_per_client = traffic.down / devices;
  INK_TRY(RoundStore store, RoundStore::open(at.state / "rounds.sqlite"));
  INK_CHECK_OK(compare_sums(at, data, store, result));
  INK_CHECK_OK(measure_models(store, data, options.seed, result));
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace inkling::tools
