#include "server-sim/coordinator/coordinator.h"

#include <algorithm>
#include <optional>

#include "federated/parameters.h"
#include "federated/secagg/envelope.h"
#include "federated/update.h"

namespace inkling {

struct Coordinator::State {
  CoordinatorSpec spec;
  secagg::Identity server;
  secagg::PublicKey authority{};
  RoundStore store;
  secagg::EntropySource* entropy;

  Bytes plan;              // as sent
  Bytes model;             // the global model, as sent
  std::uint64_t done = 0;  // rounds
  std::uint32_t attempt = 0;
  std::optional<secagg::Server> open;  // the attempt in play
  // The attempt before, so that its members can still fetch the result.
  std::optional<secagg::Server> closed;
  secagg::Attempt open_attempt, closed_attempt;
  std::vector<secagg::ClientId> seated;
  std::uint64_t version = 1;

  Result<void> load_progress();
  secagg::ServerSetup setup(const OpenAttempt& attempt) const;
  Result<void> begin(std::int64_t now_ms);
  Result<void> resume(const OpenAttempt& attempt);
  Result<void> persist(const Bytes& record);
  Result<void> settle();
  Result<Bytes> merge(const RoundReport& report);
  secagg::Server* find(const secagg::Attempt& attempt);
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
  INK_TRY(RoundStore store, RoundStore::open(folder / "rounds.sqlite"));
  if (const auto stored = store.model(); !stored) {
    if (stored.error().code != ErrorCode::kNotFound) return tl::unexpected<Error>(stored.error());
    INK_CHECK_OK(store.put_first_model(initial_model));
  }
  auto state = std::make_unique<State>(State{.spec = spec,
                                             .server = std::move(server),
                                             .authority = authority,
                                             .store = std::move(store),
                                             .entropy = &entropy,
                                             .plan = federated::encode_plan(spec.plan),
                                             .model = {},
                                             .open = {},
                                             .closed = {},
                                             .open_attempt = {},
                                             .closed_attempt = {},
                                             .seated = {}});
  INK_TRY(state->model, state->store.model());
  INK_TRY(const Model model, model_from(state->model));
  state->spec.config.dimension = federated::get_parameters(model).size();
  INK_CHECK_OK(secagg::check_config(state->spec.config));
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
    if (report.code == secagg::RoundCode::kOk) {
      done = std::max(done, report.attempt.round);
      attempt = 0;
    } else if (report.attempt.round > done) {
      attempt = report.attempt.attempt;
    }
  }
  return {};
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

// Closes the attempt that has just ended: merges and publishes, or records why not.
Result<void> Coordinator::State::settle() {
  if (!open) return {};
  const bool ok = open->phase() == secagg::ServerPhase::kDone;
  if (!ok && open->phase() != secagg::ServerPhase::kAborted) return {};
  const secagg::RoundOutcome& outcome = open->outcome();
  RoundReport report{.attempt = open_attempt,
                     .code = outcome.code,
                     .reason = outcome.reason,
                     .roster = {},
                     .dropped = {},
                     .survivors = outcome.survivors,
                     .sum = outcome.sum};
  for (std::uint32_t i = 0; i < open->roster().size(); ++i)
    report.roster.push_back(open->roster().member(i).id);
  for (const secagg::Dropout& d : open->dropouts())
    report.dropped.push_back({d.client, static_cast<int>(d.phase)});
  Bytes next;
  if (ok) {
    INK_TRY(next, merge(report));
  }
  INK_CHECK_OK(store.finish(report, next));
  if (ok) model = std::move(next);
  attempt = ok ? 0 : open_attempt.attempt;
  done = ok ? open_attempt.round : done;
  closed = std::move(open);
  closed_attempt = open_attempt;
  open.reset();
  ++version;
  return {};
}

// The next global model, announced to the round's members.
Result<Bytes> Coordinator::State::merge(const RoundReport& report) {
  INK_TRY(const federated::MeanUpdate mean,
          federated::decode_sum(spec.config, open->context(), report.sum, report.survivors));
  INK_TRY(const Model current, model_from(model));
  std::vector<float> parameters = federated::get_parameters(current);
  for (std::size_t i = 0; i < parameters.size(); ++i)
    parameters[i] += static_cast<float>(spec.server_rate) * mean.delta[i];
  INK_TRY(const Model next, federated::with_parameters(current, parameters));
  INK_TRY(Bytes bytes, encode_model(next));
  const auto record = open->publish(secagg::hash_of({bytes}));
  if (record) {
    INK_CHECK_OK(persist(*record));
  } else if (record.error().code !=
             ErrorCode::kFailedPrecondition) {  // an earlier life published it, and then stopped
    return tl::unexpected<Error>(record.error());
  }
  return bytes;
}

secagg::Server* Coordinator::State::find(const secagg::Attempt& wanted) {
  if (open && wanted == open_attempt) return &*open;
  if (closed && wanted == closed_attempt) return &*closed;
  return nullptr;
}

Result<Bytes> Coordinator::join(const secagg::ClientId& client, std::int64_t now_ms) {
  State& s = *state_;
  federated::Invitation invitation{.seat = federated::Seat::kWait,
                                   .retry_ms = s.spec.retry_ms,
                                   .attempt = {},
                                   .plan = {},
                                   .model = {}};
  if (s.done >= s.spec.rounds) {
    invitation.seat = federated::Seat::kFinished;
    return federated::encode_invitation(invitation);
  }
  if (!s.open) INK_CHECK_OK(s.begin(now_ms));
  const bool known = std::find(s.seated.begin(), s.seated.end(), client) != s.seated.end();
  const bool room =
      s.open->phase() == secagg::ServerPhase::kAdvertising && s.seated.size() < s.spec.config.n_max;
  if (!known && !room) return federated::encode_invitation(invitation);
  if (!known) s.seated.push_back(client);
  invitation = {.seat = federated::Seat::kTaken,
                .attempt = s.open_attempt,
                .task = s.spec.task,
                .plan = s.plan,
                .model = s.model};
  return federated::encode_invitation(invitation);
}

Result<Bytes> Coordinator::poll(const secagg::ClientId& client, const secagg::Attempt& attempt,
                                std::uint8_t have) {
  const secagg::Server* machine = state_->find(attempt);
  if (!machine)
    return fail(ErrorCode::kNotFound, "round ", attempt.round, " attempt ", attempt.attempt,
                " is not open");
  auto message = machine->outgoing(client);
  if (!message) {
    // Nothing is due yet, as opposed to: never will be.
    const bool waits = message.error().code == ErrorCode::kFailedPrecondition &&
                       machine->phase() < secagg::ServerPhase::kDone;
    if (waits) return Bytes();
    return message;
  }
  INK_TRY(const secagg::Envelope envelope, secagg::open_envelope(*message));
  if (static_cast<std::uint8_t>(envelope.type) == have) return Bytes();
  return message;
}

Result<void> Coordinator::receive(const secagg::ClientId& client, const secagg::Attempt& attempt,
                                  ByteSpan message, std::int64_t now_ms) {
  State& s = *state_;
  secagg::Server* machine = s.find(attempt);
  if (!machine)
    return fail(ErrorCode::kNotFound, "round ", attempt.round, " attempt ", attempt.attempt,
                " is not open");
  INK_TRY(const secagg::Receipt receipt, machine->receive(client, message, now_ms));
  INK_CHECK_OK(s.persist(receipt.record));
  return s.settle();
}

Result<void> Coordinator::tick(std::int64_t now_ms) {
  State& s = *state_;
  if (!s.open) return {};
  INK_CHECK_OK(s.persist(s.open->tick(now_ms)));
  return s.settle();
}

std::uint64_t Coordinator::version() const { return state_->version; }
std::uint64_t Coordinator::rounds_done() const { return state_->done; }
const Bytes& Coordinator::model() const { return state_->model; }
bool Coordinator::finished() const { return state_->done >= state_->spec.rounds; }
Result<std::vector<RoundReport>> Coordinator::reports() { return state_->store.reports(); }

}  // namespace inkling
