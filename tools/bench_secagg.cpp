// inkling bench secagg: a whole round of fl-sa/1 in one thread, with the machines as they are.
//
// Times are CPU times of the thread. A step is what a machine does with one message, from its bytes
// to the bytes of the answer and the record to persist; for some clients its parts are timed again
// by themselves. Updates are made as they are needed and summed as they come.

#include <malloc.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <ctime>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "federated/secagg/client.h"
#include "federated/secagg/client_work.h"
#include "runtime/base/rng.h"
#include "server-sim/secagg/secagg_server.h"
#include "tools/command.h"
#include "tools/console.h"

namespace inkling::tools {
namespace {

using namespace secagg;

struct BenchSpec {
  std::uint32_t clients = 100, drop = 0;
  std::uint64_t dimension = std::uint64_t{1} << 20;
  unsigned bits = 32;
  int suite = 1, mode = 1;
  double corrupt_fraction = 0.1, drop_fraction = 0.1;
  bool complete = false, json = false;
};

constexpr std::int64_t kNow = 1'700'000'000'000, kExpiry = kNow + 1'000'000;
constexpr std::uint32_t kSampled = 9;  // clients whose parts are timed by themselves

double cpu_ms() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

// Durations of one kind.
class Times {
 public:
  template <typename Work>
  auto measure(const Work& work) {
    const double start = cpu_ms();
    auto result = work();
    all_.push_back(cpu_ms() - start);
    return result;
  }
  void add(double ms) { all_.push_back(ms); }
  double median() const {
    if (all_.empty()) return 0;
    std::vector<double> sorted = all_;
    std::nth_element(sorted.begin(), sorted.begin() + std::ptrdiff_t(sorted.size() / 2),
                     sorted.end());
    return sorted[sorted.size() / 2];
  }

 private:
  std::vector<double> all_;
};

ClientId client_id(std::uint32_t index) {
  ClientId id{};
  for (unsigned i = 0; i < 4; ++i) id[i] = static_cast<std::uint8_t>(index >> (24 - 8 * i));
  return id;
}

Result<Identity> identity_of(const SigningKey& authority, Role role, const ClientId& id,
                             EntropySource& entropy) {
  INK_TRY(SigningKey key, SigningKey::generate(entropy));
  const Certificate certificate = issue_certificate(authority, role, id, key.public_key(), kExpiry);
  return Identity{certificate, std::move(key)};
}

// The vectors that are summed: reproducible, so that nobody has to keep them.
std::vector<std::uint64_t> input_of(std::uint32_t client, const Config& config) {
  Rng rng(1, "bench-input", client);
  std::vector<std::uint64_t> values(config.input_length());
  for (std::uint64_t& v : values) v = rng.next_u64() & config.ring_mask();
  return values;
}

// Milliseconds for `bytes` of the suite's keystream, made in the L1 cache by whichever code is
// fastest: ours, which adds it to lanes on the way, or OpenSSL's.
double keystream_ms(Suite suite, double bytes) {
  constexpr std::size_t kRepeats = 1 << 11;
  std::array<std::uint8_t, std::size_t{1} << 14> buffer{};
  const StreamKey key{.suite = suite, .material = {}};
  Times openssl;
  openssl.measure([&] {
    Keystream stream(key);
    for (std::size_t i = 0; i < kRepeats; ++i) stream.fill(buffer);
    return 0;
  });
  double best = openssl.median();
  for (const AesPath path : aes_paths()) {
    if (path == AesPath::kOpenSsl || suite == Suite::kChaCha20) continue;
    std::array<std::uint32_t, (std::size_t{1} << 14) / 4> lanes{};
    Times ours;
    ours.measure([&] {
      AesCounter stream(key.material.reveal().first(suite == Suite::kAes128Ctr ? 16 : 32),
                        key.material.reveal().first<16>(), path);
      for (std::size_t i = 0; i < kRepeats; ++i) stream.accumulate(lanes, Sign::kAdd);
      return 0;
    });
    best = std::min(best, ours.median());
  }
  return best * bytes / static_cast<double>(kRepeats * buffer.size());
}

Identity copy_of(const Identity& identity) {
  return {identity.certificate,
          SigningKey::from_seed(Secret<32>::copy_of(identity.key.seed().reveal()))};
}

class Bench {
 public:
  explicit Bench(const BenchSpec& spec) : spec_(spec), config_(config_of(spec)) {}

  Result<nlohmann::json> run();

 private:
  static Config config_of(const BenchSpec& spec);
  Result<void> set_up();
  Result<void> play(std::uint32_t index);
  Result<Reply> answer(std::uint32_t index, const Bytes& message);
  Result<void> deliver(std::uint32_t index, const Bytes& message);
  Result<void> time_sharing(std::uint32_t index, const SecretBytes& record);
  Result<void> time_masking(std::uint32_t index, const SecretBytes& record);
  Result<void> shed(std::uint32_t index);
  nlohmann::json report() const;

  Client make_client(std::uint32_t index) {
    return Client::create(task(), copy_of(identities_[index]), authority_, Policy{}, entropy_);
  }
  ClientTask task() const {
    return {.task = kRound.task, .plan_hash = {}, .model_hash = {}, .last = {}};
  }
  bool drops(std::uint32_t index) const { return index < spec_.drop; }
  bool is_sampled(std::uint32_t index) const { return index + kSampled >= spec_.clients; }
  bool is_last(std::uint32_t index) const { return index + 1 == spec_.clients; }

  inline static const RoundIdentity kRound{
      .task = {1}, .attempt = {1, 1}, .plan_hash = {}, .model_hash = {}, .server_nonce = {}};
  BenchSpec spec_;
  Config config_;
  SystemEntropy entropy_;
  PublicKey authority_{};
  std::vector<Identity> identities_;
  std::optional<Server> server_;
  std::vector<Client> clients_;
  std::vector<std::uint64_t> expected_;
  std::uint64_t upload_bytes_ = 0, download_bytes_ = 0;  // of the last client, which never drops
  std::map<ClientPhase, Times> steps_;                   // of clients, by the phase before
  Times masked_step_, share_, agree_, mask_, bound_, receive_, collect_, unmask_;
};

Config Bench::config_of(const BenchSpec& spec) {
  const double dropped = double(spec.drop) / spec.clients;
  return {.n_min = std::max(kCohortMin, spec.clients - std::min(spec.drop, spec.clients)),
          .n_max = spec.clients,
          .gamma_ppm = static_cast<std::uint32_t>(spec.corrupt_fraction * kPpm),
          .delta_ppm =
              static_cast<std::uint32_t>(std::ceil(std::max(spec.drop_fraction, dropped) * kPpm)),
          .mode = static_cast<Mode>(spec.mode),
          .suite = static_cast<Suite>(spec.suite),
          .complete_graph_max = spec.complete ? kCohortMax : 0,
          .ring_bits = spec.bits,
          .dimension = spec.dimension};
}

Result<void> Bench::set_up() {
  INK_CHECK_OK(check_config(config_));
  INK_TRY(const SigningKey authority, SigningKey::generate(entropy_));
  authority_ = authority.public_key();
  INK_TRY(Identity own, identity_of(authority, Role::kServer, {}, entropy_));
  INK_TRY(server_, Server::create({.config = config_,
                                   .identity = kRound,
                                   .server = std::move(own),
                                   .authority = authority_},
                                  kNow));
  for (std::uint32_t i = 0; i < spec_.clients; ++i) {
    INK_TRY(Identity identity, identity_of(authority, Role::kClient, client_id(i), entropy_));
    identities_.push_back(std::move(identity));
    clients_.push_back(make_client(i));
  }
  expected_.resize(config_.input_length());
  return {};
}

Result<void> Bench::time_sharing(std::uint32_t index, const SecretBytes& record) {
  INK_TRY(const ClientState state, decode_state(record));
  const Seat seat{.roster = server_->roster(), .ctx = server_->context(), .index = index};
  const auto dealt = share_.measure([&] {
    const auto c = AgreementKey::from_secret(Secret<32>::copy_of(state.c_secret.reveal()));
    return deal_shares(seat, c, state.seed, state.s_secret, entropy_);
  });
  INK_CHECK_OK(dealt);
  return {};
}

Result<void> Bench::time_masking(std::uint32_t index, const SecretBytes& record) {
  INK_TRY(const ClientState state, decode_state(record));
  const Seat seat{.roster = server_->roster(), .ctx = server_->context(), .index = index};
  MaskedSum sum(config_.ring_bits, config_.masked_length());
  INK_TRY(const auto all, agree_.measure([&] {
    const auto s = AgreementKey::from_secret(Secret<32>::copy_of(state.s_secret.reveal()));
    return masks_of(seat, config_.suite, state.present, s, state.seed);
  }));
  mask_.measure([&] { return sum.pack_masked(all); });
  const double masks = seat.roster.holders_in(index, state.present);
  const double mask_bytes =
      static_cast<double>(config_.masked_length() * lane_bits(config_.ring_bits) / 8);
  bound_.add(keystream_ms(config_.suite, masks * mask_bytes));
  return {};
}

// One process cannot keep every device's messages for a resend, as each device does.
Result<void> Bench::shed(std::uint32_t index) {
  INK_TRY(ClientState state, decode_state(clients_[index].save()));
  for (Answer& past : state.answers) {
    past.reply = {};
    past.kept = false;
  }
  INK_TRY(clients_[index], Client::restore(encode_state(state), task(), copy_of(identities_[index]),
                                           authority_, Policy{}, entropy_));
  return {};
}

// The client's step, and a second one where the vector is due.
Result<Reply> Bench::answer(std::uint32_t index, const Bytes& message) {
  Client& client = clients_[index];
  INK_TRY(Reply reply,
          steps_[client.phase()].measure([&] { return client.receive(message, kNow); }));
  if (client.phase() != ClientPhase::kReady) return reply;
  if (drops(index)) return Reply{};
  const std::vector<std::uint64_t> input = input_of(index, config_);
  for (std::size_t j = 0; j < input.size(); ++j) {
    expected_[j] = (expected_[j] + input[j]) & config_.ring_mask();
  }
  if (is_sampled(index)) INK_CHECK_OK(time_masking(index, reply.record));
  return masked_step_.measure([&] { return client.set_input(input); });
}

Result<void> Bench::deliver(std::uint32_t index, const Bytes& message) {
  if (is_last(index)) upload_bytes_ += message.size();
  const auto receive = [&] { return server_->receive(client_id(index), message, kNow); };
  const ServerPhase phase = server_->phase();
  if (phase == ServerPhase::kMasking) {
    INK_CHECK_OK(receive_.measure(receive));
    if (!is_sampled(index)) return {};
    INK_TRY(const Envelope envelope, open_envelope(message));
    MaskedSum sum(config_.ring_bits, config_.masked_length());
    return collect_.measure([&] { return sum.add_packed(envelope.raw); });
  }
  // The last answer of the round brings the sum.
  Times others;
  INK_CHECK_OK(
      (phase == ServerPhase::kUnmasking && is_last(index) ? unmask_ : others).measure(receive));
  return {};
}

Result<void> Bench::play(std::uint32_t index) {
  INK_TRY(const Bytes message, server_->outgoing(client_id(index)));
  if (is_last(index)) download_bytes_ += message.size();
  INK_TRY(const Reply reply, answer(index, message));
  if (reply.to_send.empty()) return {};
  if (clients_[index].phase() == ClientPhase::kShared && is_sampled(index)) {
    INK_CHECK_OK(time_sharing(index, reply.record));
  }
  INK_CHECK_OK(deliver(index, reply.to_send));
  return shed(index);
}

Result<nlohmann::json> Bench::run() {
  INK_CHECK_OK(set_up());
  while (server_->phase() < ServerPhase::kDone) {
    const ServerPhase phase = server_->phase();
    for (std::uint32_t i = 0; i < spec_.clients && server_->phase() == phase; ++i) {
      const bool gone = drops(i) && phase > ServerPhase::kSharing;
      if (!gone || phase == ServerPhase::kMasking) INK_CHECK_OK(play(i));
    }
    if (server_->phase() == phase) server_->close_phase(kNow);
  }
  if (server_->phase() != ServerPhase::kDone) {
    return fail(ErrorCode::kProtocol, "bench secagg: ", server_->outcome().reason);
  }
  return report();
}

nlohmann::json Bench::report() const {
  const auto step = [&](ClientPhase phase) {
    const auto found = steps_.find(phase);
    return found == steps_.end() ? 0.0 : found->second.median();
  };
  const auto n = server_->roster().size();
  const unsigned value_bits =
      config_.ring_bits - std::min(config_.ring_bits, std::bit_width(n - 1));
  const double plain_bytes = static_cast<double>(config_.dimension) * value_bits / 8;
  return {{"schema_version", 1},
          {"clients", n},
          {"dropped", spec_.drop},
          {"dimension", config_.dimension},
          {"ring_bits", config_.ring_bits},
          {"mode", spec_.mode},
          {"suite", spec_.suite},
          {"degree", server_->roster().graph().neighbours(0).size()},
          {"threshold", server_->roster().threshold()},
          {"sum_exact", server_->outcome().sum == expected_},
          {"client_advertise_step_ms", step(ClientPhase::kIdle)},
          {"client_roster_step_ms", step(ClientPhase::kAdvertised)},
          {"client_share_ms", share_.median()},
          {"client_inbox_step_ms", step(ClientPhase::kShared)},
          {"client_agree_ms", agree_.median()},
          {"client_mask_ms", mask_.median()},
          {"keystream_bound_ms", bound_.median()},
          {"client_masked_step_ms", masked_step_.median()},
          {"client_unmask_step_ms", step(ClientPhase::kMasked)},
          {"server_collect_ms_per_client", collect_.median()},
          {"server_receive_ms_per_client", receive_.median()},
          {"server_unmask_s", unmask_.median() / 1e3},
          {"upload_bytes", upload_bytes_},
          {"download_bytes", download_bytes_},
          {"value_bits", value_bits},
          {"expansion", static_cast<double>(upload_bytes_) / plain_bytes}};
}

Result<void> bench_secagg(const BenchSpec& spec, Console& console) {
  // Freed vectors are used again: on its device a client makes one, not a hundred in a row.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  Bench bench(spec);
  INK_TRY(const nlohmann::json figures, bench.run());
  if (spec.json) {
    console.out() << figures.dump(2) << "\n";
  } else {
    for (const auto& [name, value] : figures.items()) console.out() << name << " " << value << "\n";
  }
  if (figures["sum_exact"]) return {};
  return fail(ErrorCode::kVerification, "bench secagg: the sum is wrong");
}

}  // namespace

void add_bench_secagg(CLI::App& bench, Action& chosen) {
  auto spec = std::make_shared<BenchSpec>();
  CLI::App* app = bench.add_subcommand(
      "secagg", "Play a round of secure aggregation in one thread and time its parts");
  const auto option = [&](const char* name, auto& value, const char* what, const char* type) {
    return app->add_option(name, value, what)->type_name(type)->capture_default_str();
  };
  option("--clients", spec->clients, "Devices in the cohort", "N")
      ->check(CLI::Range(kCohortMin, kCohortMax));
  option("--dim", spec->dimension, "Coordinates of an update", "N");
  option("--bits", spec->bits, "Bits of a masked value", "N");
  option("--drop", spec->drop, "Devices that are lost after their shares", "COUNT");
  option("--corrupt-share", spec->corrupt_fraction, "Share of devices that may be corrupt",
         "FRACTION")
      ->check(CLI::Range(0.0, 0.5));
  option("--drop-share", spec->drop_fraction, "Share of devices that may be lost", "FRACTION")
      ->check(CLI::Range(0.0, 0.5));
  option("--suite", spec->suite, "1: AES-128-CTR, 2: AES-256-CTR, 3: ChaCha20", "N")
      ->check(CLI::Range(1, 3));
  option("--mode", spec->mode, "1: semi-honest, 2: semi-malicious, 3: strict", "N")
      ->check(CLI::Range(1, 3));
  app->add_flag("--complete", spec->complete, "Link every two devices, whatever the cohort");
  app->add_flag("--json", spec->json, "Print one JSON object");
  app->callback([&chosen, spec] {
    chosen = [spec](Console& console) { return bench_secagg(*spec, console); };
  });
}

}  // namespace inkling::tools
