// inkling join: a device takes part in a federated task.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "federated/http/https_transport.h"
#include "federated/secagg/secret.h"
#include "federated/seeded_rounding.h"
#include "runtime/base/rng.h"
#include "tools/command.h"
#include "tools/console.h"
#include "tools/device_folder.h"
#include "tools/keys.h"
#include "tools/local_training.h"

namespace inkling::tools {
namespace {

struct JoinSpec {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8443;
  Path tls_authority, authority, identity, device, certificate, certificate_key;
  std::uint32_t cohort_min = 16;
  std::uint32_t tries = 8;
  double epsilon_max = 0, delta = 1e-6;  // 0: no budget
  bool keeps_input = false;
  std::string pause_after;
  std::uint64_t rounding_seed = 0;  // 0: not seeded
};

void print(const federated::Participation& report, Console& console) {
  console.out() << nlohmann::json{{"round", report.attempt.round},
                                  {"attempt", report.attempt.attempt},
                                  {"accepted", report.gave_update &&
                                                   report.result.code == secagg::RoundCode::kOk},
                                  {"survivors", report.result.survivors},
                                  {"bytes_up", report.bytes_up},
                                  {"bytes_down", report.bytes_down}}
                       .dump()
                << "\n";
}

// Plays one round, waiting for a seat and retrying with growing, jittered pauses when the network
// fails.
Result<void> play(federated::Participant& participant, const federated::LocalTraining& train,
                  const JoinSpec& spec, Console& console) {
  Rng jitter(static_cast<std::uint64_t>(SystemClock().unix_ms()), "jitter");
  std::uint32_t failures = 0;
  for (;;) {
    const auto report = participant.take_part(train);
    std::int64_t pause_ms = 0;
    if (!report) {
      if (report.error().code != ErrorCode::kNetwork || ++failures >= spec.tries)
        return tl::unexpected<Error>(report.error());
      console.log().warning(report.error().message, "; trying again");
      pause_ms = std::int64_t{200} << std::min(failures, 7u);
    } else if (report->seat == federated::Seat::kWait) {
      pause_ms = report->retry_ms;
    } else {
      if (report->seat == federated::Seat::kTaken) print(*report, console);
      return {};
    }
    const double factor = 0.5 + jitter.uniform();
    std::this_thread::sleep_for(std::chrono::milliseconds(
        static_cast<std::int64_t>(static_cast<double>(pause_ms) * factor)));
  }
}

Result<void> join(const JoinSpec& spec, Console& console) {
  INK_TRY(const secagg::Identity identity, federated::load_identity(spec.identity));
  INK_TRY(const Bytes tls_authority, read_file(spec.tls_authority));
  HttpsEndpoint endpoint;
  endpoint.host = spec.host;
  endpoint.port = spec.port;
  endpoint.authorities_pem = as_text(tls_authority);
  if (!spec.certificate.empty()) {
    INK_TRY(const Bytes certificate, read_file(spec.certificate));
    INK_TRY(Bytes key, read_file(spec.certificate_key));
    endpoint.certificate_pem = as_text(certificate);
    endpoint.key_pem = as_text(key);
    secagg::wipe(key.data(), key.size());
  }
  INK_TRY(const auto transport, HttpsTransport::create(endpoint));
  INK_TRY(KeyValue state, KeyValue::open(spec.device / kDeviceStateName));

  INK_TRY(privacy::Ledger ledger, privacy::Ledger::open(spec.device / kDeviceLedgerName));

  federated::ParticipantSpec participant_spec;
  participant_spec.ledger = &ledger;
  if (spec.epsilon_max > 0) {
    participant_spec.budget = privacy::Budget{.epsilon = spec.epsilon_max, .delta = spec.delta};
  }
  INK_TRY(participant_spec.authority, read_authority(spec.authority));
  participant_spec.policy.n_min = spec.cohort_min;
  participant_spec.keeps_input = spec.keeps_input;
  federated::SeededRounding rounding(spec.rounding_seed, ByteReader(identity.certificate.id).u64());
  if (spec.rounding_seed != 0) participant_spec.rounding = &rounding;
  if (!spec.pause_after.empty()) {
    participant_spec.progress = [&](std::string_view message) {
      if (message == spec.pause_after) std::raise(SIGSTOP);
    };
  }
  secagg::SystemEntropy entropy;
  const SystemClock clock;
  federated::Participant participant(participant_spec, identity, *transport, state, entropy, clock);
  return play(participant, local_training(spec.device), spec, console);
}

}  // namespace

void add_join(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<JoinSpec>();
  CLI::App* app = root.add_subcommand(
      "join", "Take part in one round of a federated task with this device's data");
  app->add_option("--host", spec->host, "Server, as named in its certificate")
      ->type_name("NAME")
      ->capture_default_str();
  app->add_option("--port", spec->port, "Port of the server")
      ->type_name("PORT")
      ->capture_default_str();
  app->add_option("--tls-ca", spec->tls_authority, "TLS authority to trust, PEM")
      ->type_name("FILE")
      ->required();
  app->add_option("--authority", spec->authority,
                  "Public identity key that certifies devices and server, PEM")
      ->type_name("FILE")
      ->required();
  app->add_option("--identity", spec->identity, "This device's identity, from ca issue")
      ->type_name("FILE")
      ->required();
  CLI::Option* certificate =
      app->add_option("--tls-cert", spec->certificate,
                      "TLS certificate to show to a server that asks for one, PEM")
          ->type_name("FILE");
  app->add_option("--tls-key", spec->certificate_key, "Its private key, PEM")
      ->type_name("FILE")
      ->needs(certificate);
  certificate->needs(app->get_option("--tls-key"));
  app->add_option("--device", spec->device,
                  "Folder of this device: its behaviour log and its state")
      ->type_name("DIR")
      ->required();
  app->add_option("--cohort-min", spec->cohort_min,
                  "Smallest cohort to hide in, whatever the server says")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(2, 2000));
  app->add_option("--epsilon-max", spec->epsilon_max,
                  "Most privacy loss of the whole task, whatever the server says; 0: no limit")
      ->type_name("X")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app->add_option("--delta", spec->delta, "Delta of that limit")
      ->type_name("X")
      ->capture_default_str()
      ->check(CLI::Range(1e-15, 0.1));
  app->add_option("--tries", spec->tries, "Network failures before giving up")
      ->type_name("N")
      ->capture_default_str();
  app->add_flag("--keep-input", spec->keeps_input,
                "Keep the quantised update on this device, to check the server's sum");
  app->add_option("--pause-after", spec->pause_after,
                  "Stop the process (SIGSTOP) once the server has this message; for drills")
      ->type_name("MESSAGE")
      ->check(CLI::IsMember({"advertise", "shares", "masked", "unmask"}));
  app->add_option("--rounding-seed", spec->rounding_seed,
                  "Seed of stochastic rounding; 0: not seeded")
      ->type_name("N")
      ->capture_default_str();
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return join(*spec, console); }; });
}

}  // namespace inkling::tools
