// Client's frame: construction, restoring, and what happens around each transition. The
// transitions themselves are in client_rounds.cpp.

#include "federated/secagg/client.h"

#include <algorithm>

namespace inkling::secagg {

namespace {

// The phase in which a message of this type is the next one; nullopt for client messages.
std::optional<ClientPhase> phase_that_expects(MessageType type) {
  switch (type) {
    case MessageType::kOffer:
      return ClientPhase::kIdle;
    case MessageType::kRoster:
      return ClientPhase::kAdvertised;
    case MessageType::kInbox:
      return ClientPhase::kShared;
    case MessageType::kSurvivors:
      return ClientPhase::kMasked;
    case MessageType::kConfirmations:
      return ClientPhase::kConfirmed;
    default:
      return std::nullopt;
  }
}

Answer* find_answer(std::vector<Answer>& answers, MessageType type) {
  const auto found = std::find_if(answers.begin(), answers.end(),
                                  [&](const Answer& answer) { return answer.type == type; });
  return found == answers.end() ? nullptr : &*found;
}

}  // namespace

Client::Client(const ClientTask& task, Identity identity, const PublicKey& authority,
               const Policy& policy, EntropySource& entropy)
    : task_(task),
      identity_(std::move(identity)),
      authority_(authority),
      policy_(policy),
      entropy_(&entropy) {}

Client Client::create(const ClientTask& task, Identity identity, const PublicKey& authority,
                      const Policy& policy, EntropySource& entropy) {
  return Client(task, std::move(identity), authority, policy, entropy);
}

Result<Client> Client::restore(ByteSpan record, const ClientTask& task, Identity identity,
                               const PublicKey& authority, const Policy& policy,
                               EntropySource& entropy) {
  INK_TRY(ClientState state, decode_state(record));
  Client client(task, std::move(identity), authority, policy, entropy);
  client.state_ = std::move(state);
  if (client.state_.phase == ClientPhase::kIdle || client.state_.offer.empty()) return client;
  INK_TRY(const Offer offer, decode_offer(client.state_.offer));
  INK_CHECK_OK(client.adopt_offer(offer));
  if (client.state_.roster.empty()) return client;
  INK_TRY(const RosterMessage message, decode_roster(client.state_.roster));
  INK_TRY(Roster roster, client.read_roster(message));
  INK_CHECK_OK(client.adopt_roster(std::move(roster)));
  return client;
}

Result<Reply> Client::receive(ByteSpan message, std::int64_t now_ms) {
  INK_TRY(const Envelope envelope, open_envelope(message));
  const Hash request = hash_of({message});
  if (const Answer* earlier = find_answer(state_.answers, envelope.type)) {
    if (earlier->request != request) {
      return fail(ErrorCode::kProtocol, message_type_name(envelope.type),
                  ": another one was answered in this round already");
    }
    if (!earlier->kept) {
      return fail(ErrorCode::kFailedPrecondition, message_type_name(envelope.type),
                  ": answered, and the round has moved on");
    }
    return reply_with(earlier->reply);
  }
  INK_CHECK_OK(check_expected(envelope.type));
  if (envelope.type != MessageType::kOffer) {
    if (envelope.ctx != ctx_) {
      return fail(ErrorCode::kProtocol, message_type_name(envelope.type),
                  ": for another round, attempt, model or config");
    }
    INK_CHECK_OK(check_signature(envelope, server_key_));
  }
  Result<Bytes> made = answer(envelope, now_ms);
  if (!made) {
    if (envelope.type != MessageType::kOffer) abort();
    return tl::unexpected<Error>(std::move(made).error());
  }
  state_.answers.push_back(
      {.type = envelope.type, .request = request, .reply = *std::move(made), .kept = true});
  if (state_.phase >= ClientPhase::kConfirmed) {  // the masked vector has been counted
    if (Answer* inbox = find_answer(state_.answers, MessageType::kInbox)) {
      inbox->reply = {};
      inbox->kept = false;
    }
  }
  return reply_with(state_.answers.back().reply);
}

Result<void> Client::check_expected(MessageType type) const {
  const bool over = state_.phase == ClientPhase::kDone || state_.phase == ClientPhase::kAborted;
  const bool any_time = type == MessageType::kResult && state_.phase != ClientPhase::kIdle;
  if (!over && (any_time || phase_that_expects(type) == state_.phase)) return {};
  return fail(ErrorCode::kFailedPrecondition, message_type_name(type),
              ": not expected in client phase ", int(state_.phase));
}

Result<Bytes> Client::answer(const Envelope& envelope, std::int64_t now_ms) {
  switch (envelope.type) {
    case MessageType::kOffer:
      return on_offer(envelope, now_ms);
    case MessageType::kRoster:
      return on_roster(envelope.body, now_ms);
    case MessageType::kInbox:
      return on_inbox(envelope.body);
    case MessageType::kSurvivors:
      return on_survivors(envelope.body);
    case MessageType::kConfirmations:
      return on_confirmations(envelope.body);
    default:
      return on_result(envelope.body);
  }
}

Result<Reply> Client::set_input(std::span<const std::uint64_t> values) {
  if (state_.phase < ClientPhase::kAdvertised || state_.phase > ClientPhase::kReady) {
    return fail(ErrorCode::kFailedPrecondition, "set_input: in client phase ", int(state_.phase),
                ", expected between the offer and the masked vector");
  }
  if (values.size() != config_->input_length()) {
    return fail(ErrorCode::kInvalidArgument, "set_input: ", values.size(), " values, expected ",
                config_->input_length());
  }
  std::vector<std::uint64_t, WipingAllocator<std::uint64_t>> all;
  all.reserve(values.size() + 1);
  all.assign(values.begin(), values.end());
  all.push_back(1);  // the count
  MaskedSum input(config_->ring_bits, config_->masked_length());
  INK_CHECK_OK(input.add_values(all));
  input_ = std::move(input);
  if (state_.phase != ClientPhase::kReady) return reply_with({});
  Result<Bytes> masked = make_masked();
  if (!masked) {
    abort();
    return tl::unexpected<Error>(std::move(masked).error());
  }
  Answer* inbox = find_answer(state_.answers, MessageType::kInbox);
  INK_INVARIANT(inbox != nullptr);
  inbox->reply = *std::move(masked);
  return reply_with(inbox->reply);
}

Reply Client::reply_with(const Bytes& to_send) const {
  return {.to_send = to_send, .record = save()};
}

void Client::abort() {
  state_.forget_secrets();
  input_.reset();
  for (Answer& answer : state_.answers) {
    answer.reply = {};
    answer.kept = false;
  }
  state_.phase = ClientPhase::kAborted;
}

Bytes Client::seal(MessageType type, const Bytes& body, ByteSpan raw) const {
  return seal_envelope(type, ctx_, body, raw, identity_.key);
}

}  // namespace inkling::secagg
