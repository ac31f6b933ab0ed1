#include "server-sim/chaos/world.h"

#include <algorithm>

#include "federated/enrolment.h"
#include "runtime/model.h"
#include "server-sim/chaos/wire.h"

namespace inkling {

namespace {

constexpr std::int64_t kStartMs = 1'700'000'000'000, kExpiryMs = kStartMs + 1'000'000'000'000;
constexpr std::int64_t kTickMs = 1000;
constexpr std::int64_t kSkewMaxMs = 12 * 60 * 1000;  // within what a join request tolerates
constexpr std::int64_t kServerSkewMaxMs = 60 * 1000;
constexpr std::int64_t kHealMinMs = 2 * 60 * 1000, kHealMaxMs = 8 * 60 * 1000;
// Without faults a round takes a few phases, each up to a minute; this is for all of them.
constexpr std::int64_t kRecoveryMaxMs = 60 * 60 * 1000;
constexpr std::uint64_t kDiskWritesMax = 24;  // until a disk that is to stop does
constexpr std::size_t kNoDevice = ~std::size_t{0};

secagg::ClientId chaos_id(std::size_t index) {
  return {0xc4, static_cast<std::uint8_t>(index + 1)};
}

Result<secagg::SigningKey> authority_key(std::uint64_t seed) {
  ReplayEntropy entropy(seed, "chaos authority", 0);
  return secagg::SigningKey::generate(entropy);
}

Result<secagg::Identity> enrol(std::uint64_t seed, secagg::Role role, std::size_t index) {
  ReplayEntropy entropy(seed, "chaos identity", index);
  INK_TRY(const secagg::SigningKey authority, authority_key(seed));
  return federated::enrol(authority, role, chaos_id(index), kExpiryMs, entropy);
}

// One parameter for each device.
Result<Bytes> unit_model(std::size_t devices) {
  Model model;
  const auto count = static_cast<std::int64_t>(devices);
  const ValueId w = model.graph.variable("w", Tensor::zeros({DType::kF32, {count}}));
  model.graph.output("w", w);
  return encode_model(model);
}

std::vector<float> unit_vector(std::size_t index, std::size_t devices) {
  std::vector<float> e(devices, 0.0f);
  e[index] = 1;
  return e;
}

}  // namespace

ChaosWorld::ChaosWorld(std::uint64_t seed, bool keeps_trace)
    : seed_(seed),
      rng_(seed, "chaos"),
      faults_(ChaosFaults::draw(rng_)),
      clock_(kStartMs),
      server_entropy_(std::make_unique<ReplayEntropy>(seed, "chaos server", 0)),
      keeps_trace_(keeps_trace) {
  run_.seed = seed;
  heals_at_ms_ = kStartMs + between(kHealMinMs, kHealMaxMs);
}

Result<std::unique_ptr<ChaosWorld>> ChaosWorld::create(std::uint64_t seed, const Path& folder,
                                                       bool keeps_trace) {
  std::unique_ptr<ChaosWorld> world(new ChaosWorld(seed, keeps_trace));
  world->choose_task();
  INK_CHECK_OK(world->add_devices(folder));
  INK_TRY(CrashDisk disk, CrashDisk::create(folder / "server"));
  world->server_disk_.emplace(std::move(disk));
  return world;
}

void ChaosWorld::choose_task() {
  const auto devices = static_cast<std::uint32_t>(between(4, 7));
  spec_.task = {'c', 'h', 'a', 'o', 's'};
  spec_.plan = {.kind = "unit_vector", .local_steps = 1, .rate = 1};
  secagg::Config& config = spec_.config;
  config.n_max = devices;
  config.n_min = devices - static_cast<std::uint32_t>(between(1, 2));
  config.delta_ppm = 2 * secagg::kPpm / devices + 1;
  config.mode = static_cast<secagg::Mode>(between(1, 3));
  config.suite = static_cast<secagg::Suite>(between(1, 3));
  config.dimension = devices;
  config.scale = 1024;  // a unit is a whole number of steps: nothing is rounded
  config.clip_l2 = 1;
  for (std::uint32_t& phase_ms : config.phase_ms)
    phase_ms = static_cast<std::uint32_t>(between(15'000, 45'000));
  spec_.rounds = static_cast<std::uint64_t>(between(1, 2));
  spec_.updates_wanted = rng_.below(2) == 0 ? 0 : config.n_min;
  spec_.spare_shares_ms = static_cast<std::uint32_t>(between(0, 2) * 1000);
  spec_.retry_max_ms = 5000;
}

Result<void> ChaosWorld::add_devices(const Path& folder) {
  const std::size_t count = spec_.config.n_max;
  const std::size_t byzantine = faults_.byzantine > 0 ? rng_.below(count) : kNoDevice;
  std::vector<secagg::ClientId> ids;
  for (std::size_t i = 0; i < count; ++i) {
    INK_TRY(secagg::Identity identity, enrol(seed_, secagg::Role::kClient, i));
    INK_TRY(CrashDisk disk, CrashDisk::create(folder / concat("device", i)));
    ids.push_back(identity.certificate.id);
    ChaosDevice& device = devices_.emplace_back(
        ChaosDevice{.index = i,
                    .identity = std::move(identity),
                    .disk = std::move(disk),
                    .clock = std::make_unique<SkewedClock>(clock_),
                    .entropy = std::make_unique<ReplayEntropy>(seed_, "chaos device", i),
                    .is_byzantine = i == byzantine});
    skew(device);
    at(between(0, 5000), [this, i] { step(i); });
  }
  INK_TRY(const secagg::SigningKey authority, authority_key(seed_));
  authority_ = authority.public_key();
  INK_TRY(first_model_, unit_model(count));
  oracle_.emplace(spec_.config, std::move(ids), std::vector<float>(count, 0.0f), first_model_);
  return {};
}

void ChaosWorld::at(std::int64_t delay_ms, std::function<void()> act) {
  events_.emplace(clock_.unix_ms() + delay_ms, std::move(act));
}

void ChaosWorld::add_note(const std::string& line) {
  std::string stamped = concat(clock_.unix_ms() - kStartMs, " ms: ", line, "\n");
  trace_digest_.update(as_bytes(stamped));
  if (keeps_trace_) run_.trace.push_back(std::move(stamped));
}

Result<ChaosRun> ChaosWorld::run() {
  at(0, [this] { tick_server(); });
  while (!is_over()) {
    const auto next = events_.extract(events_.begin());  // the server's tick is always among them
    clock_.advance(next.key() - clock_.unix_ms());
    if (!is_healed_ && clock_.unix_ms() >= heals_at_ms_) heal();
    if (clock_.unix_ms() > heals_at_ms_ + kRecoveryMaxMs) {
      oracle_->broken(
          concat("no progress: ", kRecoveryMaxMs / 60'000, " minutes after all faults ended ",
                 server_ ? server_->rounds_done() : 0, " of ", spec_.rounds, " rounds are done"));
      break;
    }
    next.mapped()();
  }
  stop_server();
  for (ChaosDevice& device : devices_) device.state.reset();
  run_.violations = oracle_->violations();
  for (const std::string& violation : run_.violations) note("VIOLATION ", violation);
  run_.virtual_ms = clock_.unix_ms() - kStartMs;
  run_.digest = trace_digest_.finish();
  return std::move(run_);
}

bool ChaosWorld::is_over() const {
  return !oracle_->violations().empty() ||
         std::all_of(devices_.begin(), devices_.end(),
                     [](const ChaosDevice& device) { return device.is_finished; });
}

void ChaosWorld::heal() {
  note("all faults end");
  is_healed_ = true;
  faults_ = {};
  server_offset_ms_ = 0;
  for (ChaosDevice& device : devices_) {
    device.clock->offset_ms = 0;
    device.is_cut_off = device.is_byzantine = false;
  }
}

void ChaosWorld::skew(ChaosDevice& device) {
  device.clock->offset_ms = strikes(faults_.skew) ? between(-kSkewMaxMs, kSkewMaxMs) : 0;
}

void ChaosWorld::split_network() {
  ++run_.counts.partitions;
  std::vector<std::size_t> cut;
  for (ChaosDevice& device : devices_) {
    if (rng_.below(2) == 0) continue;
    device.is_cut_off = true;
    cut.push_back(device.index);
  }
  note(cut.size(), " devices are cut off");
  at(between(1000, 60'000), [this, cut] {
    for (const std::size_t i : cut) devices_[i].is_cut_off = false;
  });
}

void ChaosWorld::crash(ChaosDevice& device) {
  device.is_crashed = true;
  device.disk.stop();
}

// One life of a device: from its files to where it would wait, or to its end.
void ChaosWorld::step(std::size_t index) {
  ChaosDevice& device = devices_[index];
  const auto again = [&](std::int64_t delay_ms) { at(delay_ms, [this, index] { step(index); }); };
  // A long poll that has no news.
  if (device.waits_at && server_ && server_->version() == *device.waits_at)
    return again(between(300, 2000));
  device.waits_at.reset();
  if (!device.state) {
    device.disk.revive();
    device.is_crashed = false;
    auto state = KeyValue::open(device.disk.folder() / "device.sqlite");
    if (!state)
      return oracle_->broken(concat("device ", index, " does not start: ", state.error().message));
    device.state.emplace(*std::move(state));
    skew(device);
  }
  if (strikes(faults_.device_disk)) device.disk.stop_after(rng_.below(kDiskWritesMax));
  ChaosWire wire(*this, device);
  federated::Participant participant({.authority = authority_, .policy = {}}, device.identity, wire,
                                     *device.state, *device.entropy, *device.clock);
  const auto participation = participant.take_part(
      [&](const federated::Plan&, const Bytes&) -> Result<federated::LocalUpdate> {
        return federated::LocalUpdate{.delta = unit_vector(index, devices_.size())};
      });
  again(settle_step(device, participation));
}

// What the step came to; until the next one, in ms.
std::int64_t ChaosWorld::settle_step(ChaosDevice& device,
                                     const Result<federated::Participation>& participation) {
  note("device ", device.index, ": ",
       participation ? concat("seat ", int(participation->seat)) : participation.error().message);
  if (device.disk.stopped()) {
    ++run_.counts.device_crashes;
    note("device ", device.index, " crashed");
    device.state.reset();
    return between(100, 60'000);
  }
  if (!participation) {
    const ErrorCode code = participation.error().code;
    if (code == ErrorCode::kNetwork) return between(100, 3000);
    if (code == ErrorCode::kIo || code == ErrorCode::kInvalidArgument ||
        code == ErrorCode::kUnsupported) {
      oracle_->broken(concat("device ", device.index, ": ", participation.error().message));
    }
    return between(1000, 10'000);
  }
  switch (participation->seat) {
    case federated::Seat::kFinished:
      device.is_finished = true;
      return kRecoveryMaxMs * 10;
    case federated::Seat::kTaken:
      oracle_->finished(*participation);
      return between(0, 5000);
    default:
      return participation->retry_ms + between(0, 1000);
  }
}

void ChaosWorld::start_server() {
  server_disk_->revive();
  if (strikes(faults_.server_disk)) server_disk_->stop_after(rng_.below(kDiskWritesMax));
  auto identity = enrol(seed_, secagg::Role::kServer, 254);
  INK_INVARIANT(identity.has_value());
  auto opened = Coordinator::open(spec_, *std::move(identity), authority_, server_disk_->folder(),
                                  first_model_, *server_entropy_);
  if (!opened) {
    note("the server does not start: ", opened.error().message);
    if (!server_disk_->stopped())
      oracle_->broken(concat("the server does not start: ", opened.error().message));
    return;
  }
  server_.emplace(*std::move(opened));
  server_offset_ms_ = strikes(faults_.skew) ? between(-kServerSkewMaxMs, kServerSkewMaxMs) : 0;
  note("the server starts after ", server_->rounds_done(), " rounds");
  oracle_->look_at(*server_, true);
}

void ChaosWorld::crash_server() {
  ++run_.counts.server_crashes;
  note("the server crashes");
  server_disk_->stop();
  stop_server();
}

void ChaosWorld::stop_server() {
  if (!server_) return;
  run_.counts.rounds += server_->stats().rounds_ok;
  run_.counts.aborted_attempts += server_->stats().attempts_aborted;
  server_.reset();
  for (ChaosDevice& device : devices_) device.waits_at.reset();  // its connection is closed
}

void ChaosWorld::tick_server() {
  at(kTickMs, [this] { tick_server(); });
  if (strikes(faults_.partition)) split_network();
  if (!server_) {
    if (is_healed_ || rng_.below(5) == 0) start_server();
    return;
  }
  const bool cancels = strikes(faults_.cancel) && server_->progress();
  if (cancels) ++run_.counts.cancels;
  if (strikes(faults_.server_disk)) server_disk_->stop_after(rng_.below(kDiskWritesMax));
  const auto status = cancels ? server_->cancel(server_now_ms()) : server_->tick(server_now_ms());
  if (!status && !server_disk_->stopped())
    oracle_->broken(concat("the server's clock: ", status.error().message));
  if (server_disk_->stopped() || strikes(faults_.server_crash)) return crash_server();
  oracle_->look_at(*server_, false);
}

Result<Bytes> ChaosWorld::serve(std::size_t index, const std::string& path, const Bytes& body,
                                Copy copy) {
  if (server_ && strikes(faults_.server_crash)) crash_server();
  if (!server_) return fail(ErrorCode::kNetwork, "chaos: the server is down");
  if (strikes(faults_.server_disk)) server_disk_->stop_after(rng_.below(kDiskWritesMax));
  auto answer = dispatch(index, path, body, copy);
  if (server_disk_->stopped() || strikes(faults_.server_crash)) {
    crash_server();
    // What it said before it stopped is on its way.
    if (!answer) return fail(ErrorCode::kNetwork, "chaos: the server crashes");
    return answer;
  }
  oracle_->look_at(*server_, false);
  if (!answer &&
      (answer.error().code == ErrorCode::kIo || answer.error().code == ErrorCode::kUnsupported)) {
    oracle_->broken(concat("the server: ", answer.error().message));
  }
  return answer;
}

Result<Bytes> ChaosWorld::dispatch(std::size_t index, const std::string& path, const Bytes& body,
                                   Copy copy) {
  ChaosDevice& device = devices_[index];
  const secagg::ClientId& id = device.identity.certificate.id;
  const auto attempt = attempt_in(path);
  if (!attempt) {
    INK_TRY(Bytes answer, server_->join(id, body, server_now_ms()));
    INK_TRY(const auto invitation, federated::decode_invitation(answer));
    if (invitation.seat == federated::Seat::kTaken) oracle_->seated(invitation);
    return answer;
  }
  if (!is_message(path)) {
    const std::uint64_t version = server_->version();
    INK_TRY(Bytes message, server_->poll(id, *attempt, body.empty() ? 0 : body[0]));
    if (!message.empty()) return message;
    if (copy == Copy::kLive) device.waits_at = version;
    return fail(ErrorCode::kNetwork, "chaos: no news");
  }
  const auto progress = server_->progress();
  const bool open = progress && progress->attempt == *attempt;
  INK_CHECK_OK(server_->receive(id, *attempt, body, server_now_ms()));
  note("device ", index, ": ", path, " acknowledged");
  if (open && copy != Copy::kForged) oracle_->acknowledged(index, *attempt, body);
  return Bytes();
}

}  // namespace inkling
