#include "federated/participant.h"

#include <algorithm>
#include <optional>

#include "federated/join_request.h"
#include "federated/manifest.h"
#include "federated/round_privacy.h"
#include "federated/secagg/envelope.h"

namespace inkling::federated {

namespace {

// KeyValue names. The seat is kept as the invitation's bytes: the device hashes the very plan and
// model that it was given.
static_assert(kTaskModelBytesMax + 2 * kPlanBytesMax <= kValueBytesMax);
constexpr std::string_view kSeatKey = "round/seat";
constexpr std::string_view kRecordKey = "round/record";
constexpr std::uint32_t kLostRetryMs = 1000;

Result<std::optional<Bytes>> find(KeyValue& state, std::string_view key) {
  auto value = state.get(key);
  if (value) return std::optional<Bytes>(std::move(*value));
  if (value.error().code == ErrorCode::kNotFound) return std::optional<Bytes>();
  return tl::unexpected<Error>(std::move(value).error());
}

Bytes encode_attempt(const secagg::Attempt& attempt) {
  ByteWriter writer;
  writer.u64(attempt.round);
  writer.u32(attempt.attempt);
  return writer.take();
}

// Attempts count within a task.
std::string last_key(const secagg::TaskId& task) { return concat("round/last/", to_hex(task)); }

Result<secagg::Attempt> last_attempt(KeyValue& state, const secagg::TaskId& task) {
  INK_TRY(const auto stored, find(state, last_key(task)));
  if (!stored) return secagg::Attempt{};
  ByteReader reader(*stored);
  secagg::Attempt attempt{reader.u64(), reader.u32()};
  if (!reader.finished())
    return fail(ErrorCode::kCorrupt, "participant: the stored attempt has ", stored->size(),
                " bytes");
  return attempt;
}

Bytes encode_values(std::span<const std::uint64_t> values) {
  ByteWriter writer;
  for (const std::uint64_t v : values) writer.u64(v);
  return writer.take();
}

std::string attempt_text(const secagg::Attempt& attempt) {
  return concat(attempt.round, ".", attempt.attempt);
}

// Records rest sealed: AES-256-GCM under a key that is derived from the identity's seed and a fresh
// salt, which goes in front. Whoever reads the database without the identity learns no key.
constexpr std::size_t kSaltBytes = 16;

secagg::Secret<32> record_key(const secagg::Identity& identity, ByteSpan salt) {
  secagg::Secret<32> key;
  secagg::hkdf(identity.key.seed().reveal(), salt, as_bytes("fl-sa/1/record"), key.writable());
  return key;
}

Result<Bytes> seal_record(const secagg::Identity& identity, const secagg::SecretBytes& record,
                          secagg::EntropySource& entropy) {
  Bytes sealed(kSaltBytes);
  INK_CHECK_OK(entropy.fill(sealed));
  const Bytes box =
      secagg::seal_once(record_key(identity, sealed), identity.certificate.id, record);
  sealed.insert(sealed.end(), box.begin(), box.end());
  return sealed;
}

Result<secagg::SecretBytes> open_record(const secagg::Identity& identity, ByteSpan sealed) {
  const ByteSpan salt = sealed.first(std::min(sealed.size(), kSaltBytes));
  return secagg::open_once(record_key(identity, salt), identity.certificate.id,
                           sealed.subspan(salt.size()));
}

std::string trust_key(const secagg::TaskId& task) { return concat("trust/", to_hex(task)); }

bool is_over(secagg::ClientPhase phase) {
  return phase == secagg::ClientPhase::kDone || phase == secagg::ClientPhase::kAborted;
}

}  // namespace

std::string input_key(const secagg::Attempt& attempt) {
  return concat("input/", attempt_text(attempt));
}

// A seat that was taken, and the machine that plays it.
struct Participant::Round {
  Invitation seat;
  std::string path;  // of this round's messages
  secagg::Client client;
  std::uint8_t last_type = 0;  // of the server's newest message
  bool input_given = false;
  bool is_lost = false;  // the server has gone on without this device
};

secagg::Identity Participant::identity() const {
  return {identity_.certificate, secagg::SigningKey::from_seed(
                                     secagg::Secret<32>::copy_of(identity_.key.seed().reveal()))};
}

Result<Participant::FoundSeat> Participant::find_seat(Participation& report) {
  INK_TRY(const auto stored, find(state_, kSeatKey));
  if (stored) {
    INK_TRY(Invitation seat, decode_invitation(*stored));
    return FoundSeat{std::move(seat), true};
  }
  const std::string path = concat("/v1/clients/", to_hex(identity_.certificate.id), "/join");
  const Bytes request = make_join_request(identity_, clock_.unix_ms());
  INK_TRY(const Bytes answer, transport_.exchange(path, request, spec_.patience_ms));
  report.bytes_down += answer.size();
  INK_TRY(Invitation seat, decode_invitation(answer));
  if (seat.seat == Seat::kTaken) INK_CHECK_OK(take_seat(seat, answer));
  return FoundSeat{std::move(seat), false};
}

// From here on the device knows this version of the model, and no older one will do.
Result<void> Participant::take_seat(const Invitation& seat, ByteSpan invitation) {
  INK_TRY(const Manifest manifest, open_manifest(seat.manifest, spec_.authority, clock_.unix_ms()));
  const std::string key = trust_key(seat.task);
  INK_TRY(const auto stored, find(state_, key));
  ModelTrust last;
  if (stored) {
    INK_TRY(last, decode_trust(*stored));
  }
  INK_TRY(const ModelTrust trust, check_model(manifest, seat.task, seat.model, last));
  if (trust.version != last.version) INK_CHECK_OK(state_.supersede(key, encode_trust(trust)));
  return state_.insert(kSeatKey, invitation);
}

Result<Participation> Participant::take_part(const LocalTraining& train) {
  for (;;) {
    Participation report;
    INK_TRY(FoundSeat found, find_seat(report));
    report.seat = found.invitation.seat;
    report.retry_ms = found.invitation.retry_ms;
    if (report.seat != Seat::kTaken) return report;
    report.attempt = found.invitation.attempt;
    INK_CHECK_OK(play_seat(std::move(found.invitation), train, report));
    if (report.seat == Seat::kWait) return report;
    if (report.gave_update || !found.resumed) return report;
  }
}

Result<void> Participant::play_seat(Invitation seat, const LocalTraining& train,
                                    Participation& report) {
  INK_TRY(const secagg::Attempt last, last_attempt(state_, seat.task));
  INK_TRY(const auto record, find(state_, kRecordKey));
  const secagg::ClientTask task{.task = seat.task,
                                .plan_hash = secagg::hash_of({seat.plan}),
                                .model_hash = secagg::hash_of({seat.model}),
                                .last = last};
  auto client = record ? restore(*record, task)
                       : Result<secagg::Client>(secagg::Client::create(
                             task, identity(), spec_.authority, spec_.policy, entropy_));
  if (!client) {
    // A record that cannot be gone on from, e.g. under a stricter policy, never can be: not joining
    // this attempt again is what keeps it from being answered twice.
    INK_CHECK_OK(leave(seat));
    return tl::unexpected<Error>(client.error());
  }
  Round round{.seat = std::move(seat), .path = {}, .client = std::move(*client)};
  round.path = concat("/v1/clients/", to_hex(identity_.certificate.id), "/rounds/",
                      attempt_text(round.seat.attempt));
  const Result<void> played = play(round, train, report);
  if (!played && played.error().code == ErrorCode::kNetwork)
    return tl::unexpected<Error>(played.error());
  INK_CHECK_OK(leave(round.seat));  // played, lost, or broken
  if (round.is_lost) {
    report.seat = Seat::kWait;
    report.retry_ms = kLostRetryMs;
    return {};
  }
  INK_CHECK_OK(played);
  report.result = round.client.result();
  return {};
}

Result<secagg::Client> Participant::restore(ByteSpan sealed, const secagg::ClientTask& task) const {
  INK_TRY(const secagg::SecretBytes record, open_record(identity_, sealed));
  return secagg::Client::restore(record, task, identity(), spec_.authority, spec_.policy, entropy_);
}

// Puts the attempt behind us; its secrets go.
Result<void> Participant::leave(const Invitation& seat) {
  return state_.apply(
      {{last_key(seat.task), encode_attempt(seat.attempt)}, {kRecordKey}, {kSeatKey}});
}

// A refusal of this kind says that the round goes on without this device, or is no more.
Result<Bytes> Participant::ask(Round& round, std::string_view what, ByteSpan body) {
  auto answer = transport_.exchange(concat(round.path, what), body, spec_.patience_ms);
  round.is_lost = !answer && (answer.error().code == ErrorCode::kNotFound ||
                              answer.error().code == ErrorCode::kFailedPrecondition);
  return answer;
}

// What all phases may take, and as much again for training and a slow network.
std::int64_t Participant::longest_ms(const Round& round) const {
  std::int64_t longest_ms = spec_.patience_ms;
  if (!round.client.config()) return longest_ms;
  for (const std::uint32_t phase_ms : round.client.config()->phase_ms) longest_ms += 2 * phase_ms;
  return longest_ms;
}

Result<void> Participant::play(Round& round, const LocalTraining& train, Participation& report) {
  const std::int64_t start_ms = clock_.steady_ms();
  while (!is_over(round.client.phase())) {
    if (clock_.steady_ms() - start_ms > longest_ms(round)) {
      return fail(ErrorCode::kNetwork, "participant: round ", attempt_text(round.seat.attempt),
                  " has not ended within ", longest_ms(round), " ms");
    }
    report.gave_update = round.client.phase() >= secagg::ClientPhase::kMasked;
    const Bytes have = {round.last_type};
    INK_TRY(const Bytes message, ask(round, "/poll", have));
    if (message.empty()) continue;  // a long poll that ended without news
    report.bytes_down += message.size();
    INK_TRY(const secagg::Envelope envelope, secagg::open_envelope(message));
    INK_TRY(const secagg::Reply reply, round.client.receive(message, clock_.unix_ms()));
    round.last_type = static_cast<std::uint8_t>(envelope.type);
    INK_CHECK_OK(send(round, reply, report));
    // Trained while the others exchange keys, and again after a restart: until it is masked, input
    // is not part of the saved state.
    const bool needs_input = round.client.phase() == secagg::ClientPhase::kShared ||
                             round.client.phase() == secagg::ClientPhase::kReady;
    if (needs_input && !round.input_given) INK_CHECK_OK(give_input(round, train, report));
  }
  return {};
}

Result<void> Participant::give_input(Round& round, const LocalTraining& train,
                                     Participation& report) {
  INK_CHECK_OK(check_budget(round));
  INK_TRY(const Plan plan, decode_plan(round.seat.plan));
  INK_TRY(const LocalUpdate update, train(plan, round.seat.model));
  const secagg::Config& config = *round.client.config();
  if (update.delta.size() != config.dimension || update.metrics.size() != config.metrics) {
    return fail(ErrorCode::kProtocol, "participant: an update of ", update.delta.size(),
                " parameters and ", update.metrics.size(), " metrics, the round expects ",
                config.dimension, " and ", config.metrics);
  }
  INK_TRY(const auto values,
          encode_update(config, round.client.context(),
                        {.delta = update.delta, .weight = update.weight, .metrics = update.metrics},
                        UpdateRandomness(spec_.rounding ? *spec_.rounding : entropy_, entropy_)));
  if (spec_.keeps_input)
    INK_CHECK_OK(state_.supersede(input_key(round.seat.attempt), encode_values(values)));
  INK_TRY(const secagg::Reply reply, round.client.set_input(values));
  round.input_given = true;
  return send(round, reply, report);
}

Result<void> Participant::check_budget(const Round& round) {
  if (!spec_.budget) return {};
  if (!spec_.ledger) {
    return fail(ErrorCode::kInvalidArgument, "participant: a privacy budget needs a ledger");
  }
  const auto mechanism = mechanism_of(*round.client.config());
  INK_TRY(const auto uses, spec_.ledger->uses_of(round.seat.task));
  if (!mechanism || uses.has_unprotected) {
    return fail(ErrorCode::kResourceLimit, "participant: ", mechanism ? "a past" : "this",
                " round has no noise, the privacy budget is epsilon ", spec_.budget->epsilon);
  }
  INK_TRY(const bool exceeds, uses.accountant.would_exceed({*mechanism}, *spec_.budget));
  if (!exceeds) return {};
  return fail(ErrorCode::kResourceLimit, "participant: this round would exceed epsilon ",
              spec_.budget->epsilon, " at delta ", spec_.budget->delta);
}

// Once an update is masked it may leave the device, also after a restart.
Result<void> Participant::enter_in_ledger(const Round& round, std::uint64_t bytes) {
  if (!spec_.ledger) return {};
  const secagg::Config& config = *round.client.config();
  return spec_.ledger->append({.when_ms = clock_.unix_ms(),
                               .task = round.seat.task,
                               .round = round.seat.attempt.round,
                               .attempt = round.seat.attempt.attempt,
                               .what = concat("masked update of ", config.dimension,
                                              " parameters and ", config.metrics, " metrics"),
                               .bytes = bytes,
                               .cohort_min = config.n_min,
                               .mechanism = mechanism_of(config)});
}

Result<void> Participant::send(Round& round, const secagg::Reply& reply, Participation& report) {
  if (reply.to_send.empty()) return {};
  INK_TRY(const secagg::Envelope sent, secagg::open_envelope(reply.to_send));
  if (sent.type == secagg::MessageType::kMasked)
    INK_CHECK_OK(enter_in_ledger(round, reply.to_send.size()));
  // Each record of a round holds the secrets of the one before; leave() overwrites them all.
  INK_TRY(const Bytes sealed, seal_record(identity_, reply.record, entropy_));
  INK_CHECK_OK(state_.supersede(kRecordKey, sealed));
  INK_CHECK_OK(ask(round, "/message", reply.to_send));
  report.bytes_up += reply.to_send.size();
  if (spec_.progress) spec_.progress(secagg::message_type_name(sent.type));
  return {};
}

}  // namespace inkling::federated
