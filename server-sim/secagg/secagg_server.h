#pragma once
// Server: the aggregator's part in one attempt at one round of fl-sa/1, as a machine without I/O.
//
// The host creates it for a config, a round identity with a fresh nonce, and its certificate; then
//
//   outgoing(client)          the message that this client should have now: Offer, Roster, Inbox,
//                             Survivors, Confirmations or Result. Ask as often as you like, e.g.
//                             from a long poll: the bytes are the same each time.
//   receive(client, message)  a client's answer; the id is whom the transport says it is
//   tick(now)                 closes the phase when its deadline has passed
//   close_phase(now)          closes it now
//
// A phase also closes by itself when every answer is in. On closing it goes on with those who
// answered if they are at least n_min, at least all but delta of the roster, and enough for every
// secret; otherwise the round is aborted. At kDone outcome() has the exact ring sum over the
// survivors; publish() then gives clients the Result.
//
// A message that is rejected changes nothing, whoever sent it, and the round goes on. A byte-
// identical duplicate is acknowledged again; a different second message of one kind is rejected.
//
// Write-ahead: whatever changes the state returns a record. Append it to a journal BEFORE
// acknowledging or sending anything that follows from it. A new Server with the same setup that
// replays the journal is in the same state and sends the same bytes; in particular it stands by
// the survivor set that it asked about, and so never asks for both shares of one client.
//
// One thread at a time.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "federated/secagg/envelope.h"
#include "federated/secagg/masking.h"
#include "federated/secagg/roster.h"
#include "server-sim/secagg/share_joiner.h"

namespace inkling::secagg {

enum class ServerPhase : std::uint8_t {
  kAdvertising,
  kSharing,
  kMasking,
  kConfirming,  // strict mode only
  kUnmasking,
  kDone,
  kAborted
};

struct ServerSetup {
  Config config;
  RoundIdentity identity;  // server_nonce: 32 fresh random bytes per attempt
  Identity server;
  PublicKey authority{};  // that certifies clients
};

struct Receipt {
  bool duplicate = false;
  Bytes record;  // empty for a duplicate
};

struct Dropout {
  ClientId client{};
  ServerPhase phase = ServerPhase::kSharing;  // in which it did not answer
};

struct RoundOutcome {
  RoundCode code = RoundCode::kOk;
  std::string reason;              // one line, when the round was aborted
  std::vector<std::uint64_t> sum;  // input_length() ring values
  std::uint32_t survivors = 0;     // |U3|, equal to the count that came with the sum
  std::vector<ClientId> liars;     // gave wrong shares, provably
};

class Server {
 public:
  // kInvalidArgument for a config that check_config refuses.
  static Result<Server> create(ServerSetup setup, std::int64_t now_ms);

  // kCorrupt, kVerification, kProtocol: a bad message. kFailedPrecondition: too late or too early.
  // kNotFound: not a member of this round.
  Result<Receipt> receive(const ClientId& client, ByteSpan message, std::int64_t now_ms);

  // kNotFound: not a member. kFailedPrecondition: it dropped out, or nothing is due yet.
  Result<Bytes> outgoing(const ClientId& client) const;

  // The record, empty when nothing changed.
  Bytes tick(std::int64_t now_ms);
  Bytes close_phase(std::int64_t now_ms);
  Bytes cancel(std::int64_t now_ms);

  // At kDone: the hash of the model that the sum made; Result goes out. Once.
  Result<Bytes> publish(const Hash& model_hash);
  // At kDone, in place of publish(): the sum is no update, because some client masked what no
  // honest one would. Aborts the round. There is no record: a later life gets the same sum, and
  // finds the same.
  Result<void> discard(std::string reason);

  // Applies a record of an earlier life. kCorrupt, or whatever the event itself gave.
  Result<void> replay(ByteSpan record);

  ServerPhase phase() const { return phase_; }
  std::int64_t deadline_ms() const { return deadline_ms_; }
  const Hash& context() const { return ctx_; }
  const Config& config() const { return setup_.config; }
  // Has advertised in this attempt.
  bool is_member(const ClientId& client) const { return advertised_.count(client) != 0; }
  // Clients that have answered in the current phase.
  std::uint32_t answered() const;
  // Closing now would go on with the round: enough updates are in and can be unmasked, or, while
  // unmasking, every secret has enough shares, if all of them are true.
  bool can_close() const;
  // At kDone and kAborted.
  const RoundOutcome& outcome() const { return outcome_; }
  // Roster members lost so far, each in the phase in which it was lost.
  std::vector<Dropout> dropouts() const;
  // At kAborted, and at kDone once published: the signed Result; before, empty.
  const Bytes& result_message() const { return result_message_; }
  // The cohort, from the end of kAdvertising.
  const Roster& roster() const { return roster_; }

 private:
  explicit Server(ServerSetup setup);

  Bytes seal(MessageType type, const Bytes& body) const;
  void enter(ServerPhase phase, std::int64_t now_ms);
  void abort(RoundCode code, std::string reason);
  bool all_in() const;

  Result<void> accept(const ClientId& client, const Envelope& envelope, std::int64_t now_ms);
  Result<void> on_advertise(const ClientId& client, const Envelope& envelope, std::int64_t now_ms);
  Result<void> on_shares(std::uint32_t index, const Bytes& body);
  Result<void> on_masked(std::uint32_t index, const Envelope& envelope);
  Result<void> on_confirm(std::uint32_t index, const Bytes& body);
  Result<void> on_unmask(std::uint32_t index, const Bytes& body);

  void close(std::int64_t now_ms);
  void close_advertising(std::int64_t now_ms);
  void close_sharing(std::int64_t now_ms);
  void close_masking(std::int64_t now_ms);
  void close_confirming(std::int64_t now_ms);
  void close_unmasking(std::int64_t now_ms);

  Result<void> check_cohort(std::uint32_t count) const;
  Result<void> check_holders(const ClientSet& set) const;
  Result<Bytes> make_inbox(std::uint32_t index) const;
  std::vector<std::uint32_t> owners_to_join() const;
  Result<void> unmask();
  Result<Mask> self_mask(std::uint32_t owner, ShareJoiner& joiner);
  Result<std::vector<Mask>> pair_masks(std::uint32_t owner, ShareJoiner& joiner);
  void blame(const std::vector<std::uint32_t>& liars);

  ServerSetup setup_;
  Bytes config_bytes_;
  Hash ctx_{};
  ServerPhase phase_ = ServerPhase::kAdvertising;
  std::int64_t deadline_ms_ = 0;
  std::map<std::pair<ClientId, MessageType>, Hash> accepted_;

  std::map<ClientId, RosterRow> advertised_;
  std::set<PublicKey> keys_in_use_;
  Roster roster_;
  std::vector<Shares> shares_;  // by sender
  ClientSet shared_;            // sent Shares
  ClientSet present_;           // U2
  std::optional<MaskedSum> sum_;
  ClientSet survivors_;  // U3
  std::vector<Confirmation> confirmations_;
  ClientSet confirmed_;
  ClientSet asked_;  // may send Unmask: U3, in strict mode those who confirmed
  std::vector<std::vector<GivenShare>> given_;  // by owner
  ClientSet unmasked_;

  Bytes offer_message_;
  Bytes roster_message_;
  Bytes survivors_message_;
  Bytes confirmations_message_;
  Bytes result_message_;
  RoundOutcome outcome_;
};

}  // namespace inkling::secagg
