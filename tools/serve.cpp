// inkling serve: the aggregation server of one federated task.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <ctime>
#include <memory>

#include "runtime/base/sha256.h"
#include "server-sim/coordinator/service.h"
#include "server-sim/https/https_server.h"
#include "tools/command.h"
#include "tools/console.h"
#include "tools/keys.h"
#include "tools/local_training.h"

namespace inkling::tools {
namespace {

struct ServeSpec {
  Path state, keys, identity, model, port_file, revoked, admin_token, client_authority;
  std::string optimizer = "fedavg", noise = "none", group_rule = "mean";
  bool evaluates = false;
  double epsilon_max = 0, delta = 1e-6;  // 0: no budget
  std::string address = "127.0.0.1";
  std::uint16_t port = 8443;
  std::size_t connections_per_peer = 0;
  CoordinatorSpec task;
  std::uint32_t phase_s = 60, masking_s = 600;
  double drop_fraction = 0.1;
};

// Blocks the signals that end a server, in this thread and in every thread that it starts.
sigset_t block_ending_signals() {
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ending, nullptr);
  return ending;
}

// Ends the process as the signal would have, so that the caller sees what ended it.
void end_by(int signal, const sigset_t& ending) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
  pthread_sigmask(SIG_UNBLOCK, &ending, nullptr);
}

Result<CoordinatorSpec> task_of(const ServeSpec& spec) {
  CoordinatorSpec task = spec.task;
  INK_TRY(task.optimizer.rule, parse_server_rule(spec.optimizer));
  INK_TRY(task.group_rule.rule, parse_group_rule(spec.group_rule));
  if (spec.evaluates) {
    task.evaluates = true;
    task.plan.kind = kEvaluateChoices;
    task.config.metrics = kEvaluateMetrics;
    task.config.metric_clip = kEvaluateMetricMax;
  }
  if (spec.noise == "discrete_gaussian") task.config.noise = secagg::Noise::kDiscreteGaussian;
  if (spec.noise == "skellam") task.config.noise = secagg::Noise::kSkellam;
  if (spec.epsilon_max > 0)
    task.budget = privacy::Budget{.epsilon = spec.epsilon_max, .delta = spec.delta};
  task.config.delta_ppm = static_cast<std::uint32_t>(spec.drop_fraction * secagg::kPpm);
  const std::uint32_t phase_ms = spec.phase_s * 1000;
  task.config.phase_ms = {phase_ms, phase_ms, spec.masking_s * 1000, phase_ms, phase_ms};
  const Sha256Digest name = sha256(as_bytes(task.plan.kind));
  std::copy_n(name.begin(), task.task.size(), task.task.begin());
  return task;
}

// Takes in the list of revoked devices whenever its file has changed. A list that does not hold is
// reported, and the one at hand stays.
class RevocationFile {
 public:
  RevocationFile(Path file, const secagg::PublicKey& authority)
      : file_(std::move(file)), authority_(authority) {}

  void refresh(Service& service, Console& console) {
    std::error_code error;
    if (file_.empty()) return;
    const auto written = std::filesystem::last_write_time(file_, error);
    if (error || written == seen_) return;
    seen_ = written;
    auto list = read_revocations(file_, authority_);
    const Result<void> set = list ? service.set_revocations(*std::move(list))
                                  : tl::unexpected<Error>(std::move(list).error());
    if (!set) console.log().warning(set.error().message);
  }

 private:
  Path file_;
  secagg::PublicKey authority_;
  std::filesystem::file_time_type seen_{};
};

// The first line of the file.
Result<std::string> read_token(const Path& file) {
  if (file.empty()) return std::string();
  INK_TRY(const Bytes bytes, read_file(file, 4096));
  std::string token(as_text(bytes));
  token.resize(std::min(token.find_first_of("\r\n"), token.size()));
  if (token.size() >= kAdminTokenBytesMin) return token;
  return fail(ErrorCode::kInvalidArgument, file.string(), ": a token of ", token.size(),
              " characters, expected at least ", kAdminTokenBytesMin);
}

Result<void> serve(const ServeSpec& spec, Console& console) {
  const sigset_t ending = block_ending_signals();
  secagg::SystemEntropy entropy;
  SystemClock clock;
  INK_TRY(secagg::Identity identity, federated::load_identity(spec.identity));
  INK_TRY(const secagg::PublicKey authority, read_authority(spec.keys / "identity.pub"));
  INK_TRY(const Bytes chain, read_file(spec.keys / "server.pem"));
  INK_TRY(const Bytes key, read_file(spec.keys / "server.key"));
  INK_TRY(const Bytes model, read_file(spec.model));
  INK_TRY(const std::string admin_token, read_token(spec.admin_token));
  INK_TRY(const CoordinatorSpec task, task_of(spec));
  INK_TRY(Coordinator coordinator,
          Coordinator::open(task, std::move(identity), authority, spec.state, model, entropy));
  const bool wants_certificates = !spec.client_authority.empty();
  Service service(std::move(coordinator), clock, admin_token, wants_certificates);
  RevocationFile revoked(spec.revoked, authority);
  if (!spec.revoked.empty()) INK_CHECK_OK(read_revocations(spec.revoked, authority));
  revoked.refresh(service, console);

  Bytes client_authority;
  if (wants_certificates) {
    INK_TRY(client_authority, read_file(spec.client_authority));
    if (client_authority.empty())
      return fail(ErrorCode::kCorrupt, spec.client_authority.string(), ": empty");
  }
  INK_TRY(TlsContext tls,
          TlsContext::server(as_text(chain), as_text(key), as_text(client_authority)));
  HttpsServerSpec https{.address = spec.address, .port = spec.port};
  https.limits.connections_per_peer_max = spec.connections_per_peer;
  // A device that waits for the others holds a worker, and a connection. The spare ones serve what
  // does not wait; more of them would only let more clients be slow at once, at some 120 KB each.
  constexpr std::size_t kSpareWorkers = 32;
  const std::size_t cohort = spec.task.config.n_max;
  https.limits.workers_max = cohort + kSpareWorkers;
  https.limits.connections_max = std::max(https.limits.connections_max, 2 * cohort + 64);
  INK_TRY(const auto server,
          HttpsServer::start(std::move(tls), https,
                             [&](const HttpRequest& request) { return service.handle(request); }));
  console.log().info("listening on ", spec.address, ":", server->port(), ", ", spec.task.rounds,
                     " rounds");
  if (!spec.port_file.empty())
    INK_CHECK_OK(write_file(spec.port_file, as_bytes(concat(server->port()))));

  int signal = 0;
  const timespec pause{0, 200'000'000};
  while (signal <= 0 && service.healthy()) {
    signal = sigtimedwait(&ending, nullptr, &pause);
    revoked.refresh(service, console);
  }
  service.stop();
  server->stop();
  INK_CHECK_OK(service.failure());
  end_by(signal, ending);
  return {};
}

void add_task_options(CLI::App& app, ServeSpec& spec) {
  CoordinatorSpec& task = spec.task;
  app.add_option("--model", spec.model, "Model of the first round")
      ->type_name("FILE.ink")
      ->required();
  app.add_option("--training", task.plan.kind, "Local training that devices run")
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--rounds", task.rounds, "Rounds to play")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--cohort", task.config.n_max,
                 "Devices of a round; it begins when so many have joined")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--cohort-min", task.config.n_min, "Fewest devices whose sum may be unmasked")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--drop", spec.drop_fraction, "Share of a cohort that may drop out")
      ->type_name("FRACTION")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 0.5));
  app.add_option("--steps", task.plan.local_steps, "Local training steps")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--rate", task.plan.rate, "Local learning rate")
      ->type_name("X")
      ->capture_default_str();
  app.add_option("--prox", task.plan.prox,
                 "Pull of local training to the global model (FedProx's mu)")
      ->type_name("X")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--evaluate", spec.evaluates,
               "Measure the model on the devices' data, masked, and leave it as it is");
  app.add_option("--groups", task.groups,
                 "Cohorts of a round, each summed by itself; no device is in two")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--group-rule", spec.group_rule, "What makes one update of the groups' means")
      ->type_name("NAME")
      ->capture_default_str()
      ->check(CLI::IsMember({"mean", "median", "trimmed_mean", "norm_bound", "krum", "bulyan"}));
  app.add_option("--group-hostile", task.group_rule.hostile,
                 "Poisoned groups that the rule has to stand")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--group-norm", task.group_rule.norm_max, "Longest group mean of norm_bound")
      ->type_name("X")
      ->capture_default_str();
  app.add_option("--server-rate", task.optimizer.rate,
                 "How much of the mean update the model takes")
      ->type_name("X")
      ->capture_default_str();
  app.add_option("--server-optimizer", spec.optimizer, "How the model takes the mean update")
      ->type_name("NAME")
      ->capture_default_str()
      ->check(CLI::IsMember({"fedavg", "fedavgm", "fedadagrad", "fedadam", "fedyogi"}));
  app.add_option("--server-momentum", task.optimizer.momentum, "Momentum of that optimizer")
      ->type_name("X")
      ->capture_default_str();
  app.add_option("--updates-wanted", task.updates_wanted,
                 "Updates for which a round waits; 0: for all of its devices")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--noise", spec.noise, "Noise that every device adds to its update")
      ->type_name("NAME")
      ->capture_default_str()
      ->check(CLI::IsMember({"none", "discrete_gaussian", "skellam"}));
  app.add_option("--noise-sigma", task.config.noise_sigma,
                 "Deviation of one device's noise, in quantisation steps")
      ->type_name("X")
      ->capture_default_str();
  app.add_option("--epsilon-max", spec.epsilon_max,
                 "Privacy loss before which the task ends; 0: no limit")
      ->type_name("X")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--delta", spec.delta, "Delta of that limit")
      ->type_name("X")
      ->capture_default_str()
      ->check(CLI::Range(1e-15, 0.1));
  app.add_option("--clip", task.config.clip_l2, "Largest L2 norm of a device's update")
      ->type_name("X")
      ->capture_default_str();
  app.add_option("--scale", task.config.scale, "Quantisation steps per unit")
      ->type_name("X")
      ->capture_default_str();
  app.add_option("--ring-bits", task.config.ring_bits, "Bits of a masked value")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--phase-s", spec.phase_s, "Seconds for each exchange of keys and shares")
      ->type_name("S")
      ->capture_default_str()
      ->check(CLI::Range(1, 3600));
  app.add_option("--masking-s", spec.masking_s, "Seconds for local training and upload")
      ->type_name("S")
      ->capture_default_str()
      ->check(CLI::Range(1, 86400));
}

}  // namespace

void add_serve(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<ServeSpec>();
  spec->task.plan = {.kind = "conditional_logit", .local_steps = 5, .rate = 0.1};
  spec->task.config.n_min = 16;
  spec->task.config.n_max = 64;
  spec->task.config.scale = 1 << 16;
  CLI::App* app = root.add_subcommand(
      "serve", "Aggregate the updates of devices over HTTPS, seeing their sum only");
  app->add_option("--state", spec->state, "Folder of the task's state; made if missing")
      ->type_name("DIR")
      ->required();
  app->add_option("--keys", spec->keys, "Folder with server.pem, server.key and identity.pub")
      ->type_name("DIR")
      ->required();
  app->add_option("--identity", spec->identity, "The server's identity, from ca issue --server")
      ->type_name("FILE")
      ->required();
  app->add_option("--address", spec->address, "Numeric address to listen on")
      ->type_name("ADDRESS")
      ->capture_default_str();
  app->add_option("--port", spec->port, "Port to listen on; 0: the system chooses")
      ->type_name("PORT")
      ->capture_default_str();
  app->add_option("--revoked", spec->revoked,
                  "List of revoked devices, from ca revoke; read again when it changes")
      ->type_name("FILE");
  app->add_option(
         "--client-ca", spec->client_authority,
         "TLS authority, PEM: only who shows a certificate of it for a client may connect, "
         "and devices one with their id (ca issue --tls)")
      ->type_name("FILE");
  app->add_option("--admin-token", spec->admin_token,
                  "File with the token for /metrics, /v1/events and /v1/admin")
      ->type_name("FILE");
  app->add_option(
         "--peer-connections", spec->connections_per_peer,
         "Connections from one address at once; 0: no limit, as many devices may share one")
      ->type_name("N")
      ->capture_default_str();
  app->add_option("--port-file", spec->port_file, "File to write the port to once listening")
      ->type_name("FILE");
  add_task_options(*app, *spec);
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return serve(*spec, console); }; });
}

}  // namespace inkling::tools
