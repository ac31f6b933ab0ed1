// Server's frame: messages in and out, the journal, and the questions a host asks. What each phase
// accepts and how it closes is in secagg_server_phases.cpp.

#include "server-sim/secagg/secagg_server.h"

#include <algorithm>

namespace inkling::secagg {

namespace {

enum class RecordKind : std::uint8_t { kMessage = 1, kClose = 2, kCancel = 3, kPublish = 4 };

Bytes make_record(RecordKind kind, std::int64_t now_ms, ByteSpan client, ByteSpan payload) {
  ByteWriter out;
  out.u8(static_cast<std::uint8_t>(kind));
  out.u64(static_cast<std::uint64_t>(now_ms));
  out.raw(client);
  out.raw(payload);
  return out.take();
}

std::optional<ServerPhase> phase_that_expects(MessageType type) {
  switch (type) {
    case MessageType::kAdvertise:
      return ServerPhase::kAdvertising;
    case MessageType::kShares:
      return ServerPhase::kSharing;
    case MessageType::kMasked:
      return ServerPhase::kMasking;
    case MessageType::kConfirm:
      return ServerPhase::kConfirming;
    case MessageType::kUnmask:
      return ServerPhase::kUnmasking;
    default:
      return std::nullopt;
  }
}

}  // namespace

Server::Server(ServerSetup setup)
    : setup_(std::move(setup)), config_bytes_(encode_config(setup_.config)) {
  ctx_ = context_of(setup_.identity, config_bytes_);
}

Result<Server> Server::create(ServerSetup setup, std::int64_t now_ms) {
  INK_CHECK_OK(check_config(setup.config));
  Server server(std::move(setup));
  server.offer_message_ =
      server.seal(MessageType::kOffer, encode_offer({.config = server.config_bytes_,
                                                     .identity = server.setup_.identity,
                                                     .server = server.setup_.server.certificate}));
  server.enter(ServerPhase::kAdvertising, now_ms);
  return server;
}

Bytes Server::seal(MessageType type, const Bytes& body) const {
  return seal_envelope(type, ctx_, body, {}, setup_.server.key);
}

void Server::enter(ServerPhase phase, std::int64_t now_ms) {
  phase_ = phase;
  if (phase <= ServerPhase::kUnmasking) {
    deadline_ms_ = now_ms + setup_.config.phase_ms[static_cast<std::size_t>(phase)];
  }
}

void Server::abort(RoundCode code, std::string reason) {
  phase_ = ServerPhase::kAborted;
  outcome_.code = code;
  outcome_.reason = std::move(reason);
  outcome_.sum.clear();
  shares_.clear();
  given_.clear();
  sum_.reset();
  result_message_ =
      seal(MessageType::kResult,
           encode_result({.code = code, .survivors = survivors_.count(), .model_hash = {}}));
}

Result<Receipt> Server::receive(const ClientId& client, ByteSpan message, std::int64_t now_ms) {
  INK_TRY(const Envelope envelope, open_envelope(message));
  const std::pair key(client, envelope.type);
  // The signed body carries the raw section's digest, so this names the whole message.
  const Hash digest = hash_of({message.first(message.size() - envelope.raw.size())});
  if (const auto earlier = accepted_.find(key); earlier != accepted_.end()) {
    const auto masked = decode_masked(envelope.body);
    const bool raw_differs =
        !envelope.raw.empty() && (!masked || masked->digest != hash_of({envelope.raw}));
    if (earlier->second == digest && !raw_differs) return Receipt{.duplicate = true, .record = {}};
    return fail(ErrorCode::kProtocol, message_type_name(envelope.type), " of client ",
                to_hex(client), ": another one was accepted already");
  }
  if (phase_that_expects(envelope.type) != phase_) {
    return fail(ErrorCode::kFailedPrecondition, message_type_name(envelope.type), " of client ",
                to_hex(client), ": not expected in server phase ", int(phase_));
  }
  if (envelope.ctx != ctx_) {
    return fail(ErrorCode::kProtocol, message_type_name(envelope.type), " of client ",
                to_hex(client), ": for another round, attempt, model or config");
  }
  const auto status = accept(client, envelope, now_ms);
  if (!status) return fail_within(status.error(), "client ", to_hex(client));
  accepted_.emplace(key, digest);
  Receipt receipt{.duplicate = false,
                  .record = make_record(RecordKind::kMessage, now_ms, client, message)};
  if (all_in()) close(now_ms);
  return receipt;
}

Result<void> Server::accept(const ClientId& client, const Envelope& envelope, std::int64_t now_ms) {
  if (envelope.type == MessageType::kAdvertise) return on_advertise(client, envelope, now_ms);
  const auto index = roster_.index_of(client);
  if (!index) return fail(ErrorCode::kNotFound, "not a member of this round");
  INK_CHECK_OK(check_signature(envelope, roster_.member(*index).identity_key));
  switch (envelope.type) {
    case MessageType::kShares:
      return on_shares(*index, envelope.body);
    case MessageType::kMasked:
      return on_masked(*index, envelope);
    case MessageType::kConfirm:
      return on_confirm(*index, envelope.body);
    default:
      return on_unmask(*index, envelope.body);
  }
}

Result<Bytes> Server::outgoing(const ClientId& client) const {
  if (phase_ == ServerPhase::kAdvertising) return offer_message_;
  if (advertised_.count(client) == 0) {
    return fail(ErrorCode::kNotFound, "client ", to_hex(client), ": not a member of this round");
  }
  const auto index = roster_.index_of(client);
  const auto only_if = [&](bool in, const Bytes& message) -> Result<Bytes> {
    if (in && !message.empty()) return message;
    return fail(ErrorCode::kFailedPrecondition, "client ", to_hex(client),
                in ? ": nothing is due yet" : ": dropped out of this round");
  };
  switch (phase_) {
    case ServerPhase::kSharing:
      return roster_message_;
    case ServerPhase::kMasking:
      if (present_.contains(*index)) return make_inbox(*index);
      return only_if(false, {});
    case ServerPhase::kConfirming:
      return only_if(survivors_.contains(*index), survivors_message_);
    case ServerPhase::kUnmasking:
      return only_if(asked_.contains(*index), setup_.config.mode == Mode::kStrict
                                                  ? confirmations_message_
                                                  : survivors_message_);
    default:
      return only_if(true, result_message_);
  }
}

Bytes Server::tick(std::int64_t now_ms) {
  if (phase_ >= ServerPhase::kDone || now_ms < deadline_ms_) return {};
  return close_phase(now_ms);
}

Bytes Server::close_phase(std::int64_t now_ms) {
  if (phase_ >= ServerPhase::kDone) return {};
  close(now_ms);
  return make_record(RecordKind::kClose, now_ms, ClientId{}, {});
}

Bytes Server::cancel(std::int64_t now_ms) {
  if (phase_ >= ServerPhase::kDone) return {};
  abort(RoundCode::kCancelled, "cancelled by the server's operator");
  return make_record(RecordKind::kCancel, now_ms, ClientId{}, {});
}

Result<Bytes> Server::publish(const Hash& model_hash) {
  if (phase_ != ServerPhase::kDone || !result_message_.empty()) {
    return fail(ErrorCode::kFailedPrecondition, "publish: in server phase ", int(phase_),
                ", expected once, after the sum");
  }
  result_message_ = seal(MessageType::kResult, encode_result({.code = RoundCode::kOk,
                                                              .survivors = outcome_.survivors,
                                                              .model_hash = model_hash}));
  return make_record(RecordKind::kPublish, deadline_ms_, ClientId{}, model_hash);
}

Result<void> Server::discard(std::string reason) {
  if (phase_ != ServerPhase::kDone || !result_message_.empty()) {
    return fail(ErrorCode::kFailedPrecondition, "discard: in server phase ", int(phase_),
                ", expected once, after the sum");
  }
  abort(RoundCode::kCountMismatch, std::move(reason));
  return {};
}

Result<void> Server::replay(ByteSpan record) {
  ByteReader in(record);
  const auto kind = static_cast<RecordKind>(in.u8());
  const auto now_ms = static_cast<std::int64_t>(in.u64());
  const ByteSpan id = in.raw(sizeof(ClientId));
  if (!in.ok()) {
    return fail(ErrorCode::kCorrupt, "server journal: a record of ", record.size(), " bytes");
  }
  ClientId client;
  std::copy(id.begin(), id.end(), client.begin());
  const ByteSpan payload = in.raw(in.remaining());
  if (kind == RecordKind::kMessage) {
    INK_CHECK_OK(receive(client, payload, now_ms));
    return {};
  }
  if (kind == RecordKind::kPublish && payload.size() == sizeof(Hash)) {
    Hash model_hash;
    std::copy(payload.begin(), payload.end(), model_hash.begin());
    INK_CHECK_OK(publish(model_hash));
    return {};
  }
  if (kind == RecordKind::kClose && payload.empty() && !close_phase(now_ms).empty()) return {};
  if (kind == RecordKind::kCancel && payload.empty() && !cancel(now_ms).empty()) return {};
  return fail(ErrorCode::kCorrupt, "server journal: a record of kind ", int(kind), " and ",
              payload.size(), " bytes does not fit server phase ", int(phase_));
}

std::uint32_t Server::answered() const {
  switch (phase_) {
    case ServerPhase::kAdvertising:
      return static_cast<std::uint32_t>(advertised_.size());
    case ServerPhase::kSharing:
      return shared_.count();
    case ServerPhase::kMasking:
      return survivors_.count();
    case ServerPhase::kConfirming:
      return confirmed_.count();
    default:
      return unmasked_.count();
  }
}

bool Server::all_in() const {
  switch (phase_) {
    case ServerPhase::kAdvertising:
      return answered() == setup_.config.n_max;
    case ServerPhase::kSharing:
      return answered() == roster_.size();
    case ServerPhase::kMasking:
      return answered() == present_.count();
    case ServerPhase::kConfirming:
      return answered() == survivors_.count();
    case ServerPhase::kUnmasking:
      return answered() == asked_.count();
    default:
      return false;
  }
}

std::vector<Dropout> Server::dropouts() const {
  std::vector<Dropout> out;
  const auto past = [&](ServerPhase phase) { return phase_ > phase; };
  for (std::uint32_t i = 0; i < roster_.size(); ++i) {
    const ClientId& id = roster_.member(i).id;
    if (past(ServerPhase::kSharing) && !present_.contains(i)) {
      out.push_back({id, ServerPhase::kSharing});
    } else if (past(ServerPhase::kMasking) && !survivors_.contains(i)) {
      out.push_back({id, ServerPhase::kMasking});
    } else if (past(ServerPhase::kConfirming) && setup_.config.mode == Mode::kStrict &&
               !confirmed_.contains(i)) {
      out.push_back({id, ServerPhase::kConfirming});
    } else if (past(ServerPhase::kUnmasking) && !unmasked_.contains(i)) {
      out.push_back({id, ServerPhase::kUnmasking});
    }
  }
  return out;
}

}  // namespace inkling::secagg
