#include "server-sim/coordinator/coordinator.h"

#include <algorithm>
#include <optional>
#include <set>

#include "federated/join_request.h"
#include "federated/manifest.h"
#include "federated/parameters.h"
#include "federated/round_privacy.h"
#include "federated/secagg/envelope.h"
#include "federated/update.h"

namespace inkling {

struct Coordinator::State {
  CoordinatorSpec spec;
  secagg::Identity server;
  secagg::PublicKey authority{};
  RoundStore store;
  secagg::EntropySource* entropy;

  Bytes plan;           // as sent
  Bytes model;          // the global model, as sent
  Bytes manifest = {};  // of the model; empty until somebody asks for it
  std::int64_t manifest_signed_ms = 0;
  std::uint64_t done = 0;  // rounds
  std::uint32_t attempt = 0;
  std::optional<secagg::Server> open;  // the attempt in play
  secagg::Attempt open_attempt;
  std::vector<secagg::ClientId> seated;
  std::set<secagg::ClientId> waiting;       // were told to come back since the attempt opened
  std::int64_t enough_since_ms = 0;         // since when unmasking could end; 0: cannot yet
  std::vector<GroupMean> groups = {};       // of the round so far
  std::set<secagg::ClientId> grouped = {};  // devices in one of them
  ServerOptimizer optimizer;
  privacy::Accountant accountant;
  std::optional<privacy::Mechanism> mechanism;  // of a round
  federated::Revocations revoked;
  CoordinatorStats stats;
  std::uint64_t version = 1;
  Result<void> health;  // what could not be written, once it could not

  Result<void> load_progress();
  secagg::ServerSetup setup(const OpenAttempt& attempt) const;
  Result<void> begin(std::int64_t now_ms);
  Result<void> resume(const OpenAttempt& attempt);
  Result<void> persist(const Bytes& record);
  Result<void> settle();
  Result<std::optional<federated::MeanUpdate>> learn();
  Result<void> take_in(federated::MeanUpdate mean, RoundReport& report, RoundProducts& products);
  Result<Bytes> next_model(const federated::MeanUpdate& mean);
  Result<void> publish(ByteSpan model_made);
  Result<bool> may_begin() const;
  bool is_enough(std::int64_t now_ms);
  std::uint32_t retry_after(const secagg::ClientId& client);
  const Bytes& current_manifest(std::int64_t now_ms);
  Result<void> write_down(const Bytes& record);
  bool plays(const secagg::Attempt& wanted) const { return open && open_attempt == wanted; }
  Result<RoundReport> finished_attempt(const secagg::ClientId& client,
                                       const secagg::Attempt& wanted);
};

namespace {

secagg::Identity copy_of(const secagg::Identity& identity) {
  return {identity.certificate,
          secagg::SigningKey::from_seed(secagg::Secret<32>::copy_of(identity.key.seed().reveal()))};
}

Result<Model> model_from(const Bytes& bytes) {
  // The graph borrows its weights from these bytes, so they live as long as it does.
  const auto owner = std::make_shared<const Bytes>(bytes);
  return decode_model(*owner, owner);
}

}  // namespace

Coordinator::Coordinator(std::unique_ptr<State> state) : state_(std::move(state)) {}
Coordinator::Coordinator(Coordinator&&) noexcept = default;
Coordinator& Coordinator::operator=(Coordinator&&) noexcept = default;
Coordinator::~Coordinator() = default;

Result<Coordinator> Coordinator::open(const CoordinatorSpec& spec, secagg::Identity server,
                                      const secagg::PublicKey& authority, const Path& folder,
                                      const Bytes& initial_model, secagg::EntropySource& entropy) {
  if (spec.budget && spec.config.noise == secagg::Noise::kNone) {
    return fail(ErrorCode::kInvalidArgument,
                "coordinator: a privacy budget, but rounds without noise");
  }
  if (spec.groups == 0 || (spec.evaluates && (spec.groups > 1 || spec.config.metrics == 0))) {
    return fail(ErrorCode::kInvalidArgument, "coordinator: ", spec.groups, " groups and ",
                spec.config.metrics, " metrics, expected at least 1, and to evaluate 1 group");
  }
  // Whether the rule can do with so many groups.
  const std::vector<float> nothing(1);
  INK_CHECK_OK(group_mean(std::vector<GroupUpdate>(spec.groups, {nothing, 1}), spec.group_rule));
  INK_TRY(RoundStore store, RoundStore::open(folder / "rounds.sqlite"));
  auto stored = store.model();
  const bool fresh = !stored && stored.error().code == ErrorCode::kNotFound;
  if (fresh) stored = initial_model;
  INK_CHECK_OK(stored);
  if (stored->size() > federated::kTaskModelBytesMax) {
    return fail(ErrorCode::kResourceLimit, "coordinator: a model of ", stored->size(),
                " bytes, devices take up to ", federated::kTaskModelBytesMax);
  }
  INK_TRY(const Model model, model_from(*stored));
  INK_TRY(ServerOptimizer optimizer,
          ServerOptimizer::create(spec.optimizer, federated::get_parameters(model).size()));
  INK_TRY(const Bytes optimizer_state, store.optimizer());
  if (!optimizer_state.empty()) INK_CHECK_OK(optimizer.load(optimizer_state));
  auto state = std::make_unique<State>(State{.spec = spec,
                                             .server = std::move(server),
                                             .authority = authority,
                                             .store = std::move(store),
                                             .entropy = &entropy,
                                             .plan = federated::encode_plan(spec.plan),
                                             .model = *std::move(stored),
                                             .open = {},
                                             .open_attempt = {},
                                             .seated = {},
                                             .waiting = {},
                                             .optimizer = std::move(optimizer),
                                             .accountant = {},
                                             .mechanism = {},
                                             .revoked = {},
                                             .stats = {},
                                             .health = {}});
  state->spec.config.dimension = spec.evaluates ? 1 : federated::get_parameters(model).size();
  INK_CHECK_OK(secagg::check_config(state->spec.config));
  state->mechanism = federated::mechanism_of(state->spec.config);
  if (fresh) INK_CHECK_OK(state->store.put_first_model(state->model));
  INK_CHECK_OK(state->load_progress());
  INK_TRY(const auto interrupted, state->store.open_attempt());
  if (interrupted) INK_CHECK_OK(state->resume(*interrupted));
  INK_CHECK_OK(state->settle());
  return Coordinator(std::move(state));
}

// How far earlier lives came.
Result<void> Coordinator::State::load_progress() {
  INK_TRY(const auto reports, store.reports());
  for (const RoundReport& report : reports) {
    if (report.closes_round) {
      done = std::max(done, report.attempt.round);
      attempt = 0;
    } else if (report.attempt.round > done) {
      attempt = report.attempt.attempt;
    }
  }
  for (const RoundReport& report : reports) {
    if (report.attempt.round > done && report.code == secagg::RoundCode::kOk)
      grouped.insert(report.roster.begin(), report.roster.end());
  }
  INK_TRY(groups, store.groups());
  INK_TRY(const auto mechanisms, store.mechanisms());
  for (const Bytes& bytes : mechanisms) {
    INK_TRY(const privacy::Mechanism used, privacy::decode_mechanism(bytes));
    INK_CHECK_OK(accountant.add({.mechanism = used}));
  }
  return {};
}

// Whether the privacy budget has room for one more round.
Result<bool> Coordinator::State::may_begin() const {
  if (!spec.budget || !mechanism || !groups.empty()) return true;  // a round that has begun is paid
  INK_TRY(const bool exceeds, accountant.would_exceed({*mechanism}, *spec.budget));
  return !exceeds;
}

secagg::ServerSetup Coordinator::State::setup(const OpenAttempt& open_one) const {
  return {.config = spec.config,
          .identity = {.task = spec.task,
                       .attempt = open_one.attempt,
                       .plan_hash = secagg::hash_of({plan}),
                       .model_hash = secagg::hash_of({model}),
                       .server_nonce = open_one.nonce},
          .server = copy_of(server),
          .authority = authority};
}

Result<void> Coordinator::State::begin(std::int64_t now_ms) {
  OpenAttempt fresh{.attempt = {done + 1, attempt + 1}, .opened_ms = now_ms};
  INK_CHECK_OK(entropy->fill(fresh.nonce));
  INK_TRY(secagg::Server machine, secagg::Server::create(setup(fresh), now_ms));
  INK_CHECK_OK(store.begin(fresh));
  open = std::move(machine);
  open_attempt = fresh.attempt;
  seated.clear();
  waiting.clear();
  enough_since_ms = 0;
  return {};
}

Result<void> Coordinator::State::resume(const OpenAttempt& interrupted) {
  INK_TRY(secagg::Server machine,
          secagg::Server::create(setup(interrupted), interrupted.opened_ms));
  INK_TRY(const auto records, store.journal());
  for (const Bytes& record : records) INK_CHECK_OK(machine.replay(record));
  open = std::move(machine);
  open_attempt = interrupted.attempt;
  return {};
}

Result<void> Coordinator::State::persist(const Bytes& record) {
  if (record.empty()) return {};
  ++version;
  return store.append(record);
}

// Closes the attempt that has just ended: takes in what it learnt and publishes, or records why
// not.
Result<void> Coordinator::State::settle() {
  if (!open) return {};
  RoundProducts products;
  RoundReport report{.attempt = open_attempt,
                     .reason = {},
                     .roster = {},
                     .dropped = {},
                     .sum = {},
                     .result = {},
                     .closes_round = false};
  if (open->phase() == secagg::ServerPhase::kDone) {
    INK_TRY(auto mean, learn());
    if (mean) INK_CHECK_OK(take_in(*std::move(mean), report, products));
  }
  const bool ok = open->phase() == secagg::ServerPhase::kDone;
  if (!ok && open->phase() != secagg::ServerPhase::kAborted) return {};
  const secagg::RoundOutcome& outcome = open->outcome();
  report.code = outcome.code;
  report.reason = outcome.reason;
  report.survivors = outcome.survivors;
  report.sum = outcome.sum;
  report.result = open->result_message();
  for (std::uint32_t i = 0; i < open->roster().size(); ++i)
    report.roster.push_back(open->roster().member(i).id);
  for (const secagg::Dropout& d : open->dropouts())
    report.dropped.push_back({d.client, static_cast<int>(d.phase)});
  const bool learnt =
      outcome.code == secagg::RoundCode::kOk || outcome.code == secagg::RoundCode::kCountMismatch;
  // A device is in one group of a round, so the groups after the first cost nobody more.
  const bool costs = learnt && !(ok && !groups.empty());
  if (costs && mechanism) products.mechanism = privacy::encode_mechanism(*mechanism);
  INK_CHECK_OK(store.finish(report, products));
  if (!products.mechanism.empty()) INK_CHECK_OK(accountant.add({*mechanism}));
  if (!products.model.empty()) {
    model = std::move(products.model);
    manifest.clear();
  }
  if (products.group) {
    groups.push_back(*std::move(products.group));
    grouped.insert(report.roster.begin(), report.roster.end());
    ++stats.groups_ok;
  }
  if (report.closes_round) {
    groups.clear();
    grouped.clear();
    ++stats.rounds_ok;
  }
  if (!ok) ++stats.attempts_aborted;
  attempt = report.closes_round ? 0 : open_attempt.attempt;
  done = report.closes_round ? open_attempt.round : done;
  open.reset();
  seated.clear();
  ++version;
  return {};
}

// The mean of the updates; nothing when the sum is no update, and the attempt aborted.
Result<std::optional<federated::MeanUpdate>> Coordinator::State::learn() {
  const secagg::RoundOutcome& outcome = open->outcome();
  auto mean = federated::decode_sum(spec.config, open->context(), outcome.sum, outcome.survivors);
  if (mean) return std::optional<federated::MeanUpdate>(*std::move(mean));
  INK_CHECK_OK(open->discard(mean.error().message));
  return std::optional<federated::MeanUpdate>();
}

// What an attempt makes: nothing but metrics, a group of the round, or the next global model. Says
// so to its members.
Result<void> Coordinator::State::take_in(federated::MeanUpdate mean, RoundReport& report,
                                         RoundProducts& products) {
  report.metric_sums = mean.metric_sums;
  if (spec.evaluates) {
    report.closes_round = true;
    return publish(model);
  }
  if (groups.size() + 1 < spec.groups) {
    products.group =
        GroupMean{.weight = static_cast<double>(mean.weight_sum), .delta = std::move(mean.delta)};
    return publish(model);
  }
  INK_TRY(products.model, next_model(mean));
  products.optimizer = optimizer.save();
  report.closes_round = true;
  return publish(products.model);
}

Result<Bytes> Coordinator::State::next_model(const federated::MeanUpdate& mean) {
  std::vector<float> update = mean.delta;
  if (spec.groups > 1) {
    std::vector<GroupUpdate> all;
    for (const GroupMean& group : groups) all.push_back({group.delta, group.weight});
    all.push_back({mean.delta, static_cast<double>(mean.weight_sum)});
    INK_TRY(update, group_mean(all, spec.group_rule));
  }
  INK_TRY(const Model current, model_from(model));
  std::vector<float> parameters = federated::get_parameters(current);
  INK_CHECK_OK(optimizer.step(parameters, update));
  INK_TRY(const Model next, federated::with_parameters(current, parameters));
  return encode_model(next);
}

Result<void> Coordinator::State::publish(ByteSpan model_made) {
  const auto record = open->publish(secagg::hash_of({model_made}));
  if (record) return persist(*record);
  // An earlier life published it, and then stopped.
  if (record.error().code == ErrorCode::kFailedPrecondition) return {};
  return tl::unexpected<Error>(record.error());
}

// What the machine has just done: into the journal, and to its end if it ended the attempt. What
// fails here leaves the machine ahead of the disk.
Result<void> Coordinator::State::write_down(const Bytes& record) {
  health = persist(record);
  if (health) health = settle();
  if (!health) health.error().code = ErrorCode::kIo;  // for whoever asks, it is our disk
  return health;
}

Result<RoundReport> Coordinator::State::finished_attempt(const secagg::ClientId& client,
                                                         const secagg::Attempt& wanted) {
  INK_TRY(auto report, store.report(wanted));
  const auto member = [&] {  // when too few advertised there is no roster, and nothing to hide
    return report->roster.empty() ||
           std::find(report->roster.begin(), report->roster.end(), client) != report->roster.end();
  };
  if (report && member()) return *std::move(report);
  return fail(ErrorCode::kNotFound, "round ", wanted.round, " attempt ", wanted.attempt,
              report ? ": not a member" : " is not open");
}

// Pace steering (Bonawitz et al., MLSys'19): the more devices wait for a seat, the later each is
// told to come back, so that about a cohort of them comes in retry_ms.
std::uint32_t Coordinator::State::retry_after(const secagg::ClientId& client) {
  constexpr std::size_t kWaitingMax = 1 << 20;
  if (waiting.size() < kWaitingMax) waiting.insert(client);
  const std::uint64_t cohorts = (waiting.size() + spec.config.n_max - 1) / spec.config.n_max;
  const std::uint64_t pause =
      std::min<std::uint64_t>(cohorts * spec.retry_ms, std::max(spec.retry_max_ms, spec.retry_ms));
  // The same half to one and a half for a device each time, different between devices.
  return static_cast<std::uint32_t>(pause / 2 + pause * client[15] / 255);
}

// Versions count from 1, the model before the first round.
const Bytes& Coordinator::State::current_manifest(std::int64_t now_ms) {
  if (manifest.empty() || now_ms - manifest_signed_ms > spec.manifest_valid_ms / 2) {
    manifest = federated::sign_manifest(
        federated::describe_model(spec.task, done + 1, now_ms + spec.manifest_valid_ms, model),
        server);
    manifest_signed_ms = now_ms;
  }
  return manifest;
}

Result<Bytes> Coordinator::join(const secagg::ClientId& client, ByteSpan request,
                                std::int64_t now_ms) {
  State& s = *state_;
  INK_CHECK_OK(s.health);
  const auto asks = federated::check_join_request(request, s.authority, now_ms);
  if (!asks || *asks != client || s.revoked.ids.count(client) != 0) {
    ++s.stats.joins_refused;
    INK_CHECK_OK(asks);
    return fail(ErrorCode::kVerification, "join: client ", to_hex(client),
                *asks != client ? " is not who signed" : " is revoked");
  }
  federated::Invitation invitation{
      .seat = federated::Seat::kWait, .attempt = {}, .plan = {}, .model = {}};
  if (s.done >= s.spec.rounds) {
    invitation.seat = federated::Seat::kFinished;
    return federated::encode_invitation(invitation);
  }
  if (!s.open && s.grouped.count(client) == 0) {
    INK_TRY(const bool may_begin, s.may_begin());
    if (!may_begin) {
      invitation.seat = federated::Seat::kFinished;
      return federated::encode_invitation(invitation);
    }
    INK_CHECK_OK(s.begin(now_ms));
  }
  const bool known = std::find(s.seated.begin(), s.seated.end(), client) != s.seated.end();
  const bool room = s.seated.size() < s.spec.config.n_max && s.grouped.count(client) == 0;
  // Later, whoever asks has no keys in the attempt, even if it had a seat: it lost it, or left.
  const bool advertising = s.open && s.open->phase() == secagg::ServerPhase::kAdvertising;
  if (!advertising || (!known && !room)) {
    ++s.stats.joins_deferred;
    invitation.retry_ms = s.retry_after(client);
    return federated::encode_invitation(invitation);
  }
  if (!known) {
    s.seated.push_back(client);
    ++s.stats.seats_given;
  }
  invitation = {.seat = federated::Seat::kTaken,
                .attempt = s.open_attempt,
                .task = s.spec.task,
                .plan = s.plan,
                .model = s.model,
                .manifest = s.current_manifest(now_ms)};
  return federated::encode_invitation(invitation);
}

Result<Bytes> Coordinator::poll(const secagg::ClientId& client, const secagg::Attempt& attempt,
                                std::uint8_t have) {
  State& s = *state_;
  INK_CHECK_OK(s.health);
  if (!s.plays(attempt)) {
    INK_TRY(RoundReport report, s.finished_attempt(client, attempt));
    return std::move(report.result);
  }
  auto message = s.open->outgoing(client);
  if (!message) {
    // Nothing is due yet, as opposed to: never will be.
    const bool waits = message.error().code == ErrorCode::kFailedPrecondition &&
                       s.open->phase() < secagg::ServerPhase::kDone;
    if (waits) return Bytes();
    return message;
  }
  INK_TRY(const secagg::Envelope envelope, secagg::open_envelope(*message));
  if (static_cast<std::uint8_t>(envelope.type) == have) return Bytes();
  return message;
}

bool Coordinator::may_wait(const secagg::ClientId& client) const {
  const auto& seated = state_->seated;
  return state_->open && (state_->open->is_member(client) ||
                          std::find(seated.begin(), seated.end(), client) != seated.end());
}

Result<void> Coordinator::receive(const secagg::ClientId& client, const secagg::Attempt& attempt,
                                  ByteSpan message, std::int64_t now_ms) {
  State& s = *state_;
  INK_CHECK_OK(s.health);
  if (!s.plays(attempt)) {
    INK_CHECK_OK(s.finished_attempt(client, attempt));
    return {};
  }
  const auto receipt = s.open->receive(client, message, now_ms);
  ++(receipt ? s.stats.messages_accepted : s.stats.messages_refused);
  INK_CHECK_OK(receipt);
  INK_CHECK_OK(s.write_down(receipt->record));
  if (s.is_enough(now_ms)) return s.write_down(s.open->close_phase(now_ms));
  return {};
}

// Whether the phase may end before everybody has answered.
bool Coordinator::State::is_enough(std::int64_t now_ms) {
  if (!open || !open->can_close()) return false;
  if (open->phase() == secagg::ServerPhase::kMasking)
    return spec.updates_wanted > 0 && open->answered() >= spec.updates_wanted;
  if (enough_since_ms == 0) enough_since_ms = now_ms;
  return now_ms - enough_since_ms >= spec.spare_shares_ms;
}

Result<void> Coordinator::tick(std::int64_t now_ms) {
  State& s = *state_;
  INK_CHECK_OK(s.health);
  if (!s.open) return {};
  return s.write_down(s.is_enough(now_ms) ? s.open->close_phase(now_ms) : s.open->tick(now_ms));
}

Result<void> Coordinator::set_revocations(federated::Revocations list) {
  if (list.issued_ms < state_->revoked.issued_ms) {
    return fail(ErrorCode::kFailedPrecondition, "revocations: issued at ", list.issued_ms,
                " ms, before the list at hand");
  }
  state_->revoked = std::move(list);
  return {};
}

Result<void> Coordinator::cancel(std::int64_t now_ms) {
  State& s = *state_;
  INK_CHECK_OK(s.health);
  if (!s.open) return fail(ErrorCode::kFailedPrecondition, "cancel: no attempt is open");
  return s.write_down(s.open->cancel(now_ms));
}

std::uint64_t Coordinator::version() const { return state_->version; }
std::uint64_t Coordinator::rounds_done() const { return state_->done; }
const Bytes& Coordinator::model() const { return state_->model; }
const CoordinatorStats& Coordinator::stats() const { return state_->stats; }
bool Coordinator::exhausted() const {
  const auto may_begin = state_->may_begin();
  return !state_->open && may_begin && !*may_begin;
}
bool Coordinator::finished() const { return state_->done >= state_->spec.rounds || exhausted(); }

std::optional<Coordinator::Progress> Coordinator::progress() const {
  const auto& open = state_->open;
  if (!open) return std::nullopt;
  return Progress{.attempt = state_->open_attempt,
                  .phase = open->phase(),
                  .answered = open->answered(),
                  .cohort = open->roster().size()};
}

Result<std::optional<privacy::Spent>> Coordinator::spent() const {
  if (!state_->mechanism) return std::optional<privacy::Spent>();
  INK_TRY(const privacy::Spent spent,
          state_->accountant.spent(state_->spec.budget.value_or(privacy::Budget{}).delta));
  return std::optional<privacy::Spent>(spent);
}

Result<std::vector<RoundReport>> Coordinator::reports() { return state_->store.reports(); }

}  // namespace inkling
