#pragma once
// Client: one device's part in one attempt at one round of fl-sa/1, as a machine without I/O.
//
// The host fetches plan and model, hashes the very bytes that it trains on, and creates a Client
// for them. Then it feeds the server's messages in as they come:
//
//   Offer         -> Advertise   fresh keys, a commitment to the self-mask seed
//   Roster        -> Shares      its neighbours' boxes with shares of its two secrets
//   Inbox         -> Masked      once set_input() has been called, before or after the Inbox
//   Survivors     -> Unmask      one kind of share per client; in strict mode
//   Survivors     -> Confirm       a signature on the survivor set first, and then
//   Confirmations -> Unmask        the shares, when enough others signed the same set
//   Result        -> nothing
//
// Write-ahead: every Reply carries the record to persist BEFORE its bytes are sent. restore() of
// the newest record continues after a crash; restoring an older one could answer a question twice,
// so storage must replace the record atomically and keep only the newest. The record holds secrets
// in clear: seal it, and delete it when phase() is kDone or kAborted.
//
// A message that was answered before gets the byte-identical answer again; a different one of that
// kind is refused (kProtocol) and changes nothing, so no two rosters, inboxes or survivor lists are
// ever answered. A message that is malformed or not signed by this round's server is refused and
// changes nothing (kCorrupt, kVerification). One that the server did sign but that breaks the
// protocol ends the round: secrets are wiped and phase() is kAborted; save() then records it.
//
// One thread at a time. The entropy source must outlive the client.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "federated/secagg/client_state.h"
#include "federated/secagg/masking.h"
#include "federated/secagg/roster.h"

namespace inkling::secagg {

// The task as this device knows it.
struct ClientTask {
  TaskId task{};
  Hash plan_hash{};
  Hash model_hash{};
  Attempt last;  // the newest attempt it took part in: an offer must be later. {0, 0}: none.
                 // Store attempt() with the first record; restore() does not look at it.
};

// What the app pins, whatever the server says.
struct Policy {
  std::uint32_t n_min = 2;          // smallest cohort to hide in
  std::uint32_t gamma_ppm_min = 0;  // corrupt fraction that the threshold must stand
  Mode weakest_mode = Mode::kSemiHonest;
};

struct Reply {
  Bytes to_send;       // empty: nothing is due
  SecretBytes record;  // persist before sending
};

class Client {
 public:
  static Client create(const ClientTask& task, Identity identity, const PublicKey& authority,
                       const Policy& policy, EntropySource& entropy);

  // From the record of an earlier Reply, with the arguments that created it. kCorrupt for a damaged
  // record, kFailedPrecondition for one of another task or model. Input that was set but not yet
  // masked is not in the record: set it again.
  static Result<Client> restore(ByteSpan record, const ClientTask& task, Identity identity,
                                const PublicKey& authority, const Policy& policy,
                                EntropySource& entropy);

  // now_ms: Unix time, for certificate expiry.
  Result<Reply> receive(ByteSpan message, std::int64_t now_ms);

  // config()->input_length() ring values, each below 2^ring_bits. After the Offer and before Masked
  // is made; until then a later input replaces an earlier one. The Reply holds Masked if the Inbox
  // is already in. The count coordinate is the machine's own.
  Result<Reply> set_input(std::span<const std::uint64_t> values);

  SecretBytes save() const { return encode_state(state_); }

  ClientPhase phase() const { return state_.phase; }
  // After the Offer: its parameters, the attempt and the context; nullptr and zeros before.
  const Config* config() const { return config_ ? &*config_ : nullptr; }
  const Hash& context() const { return ctx_; }
  Attempt attempt() const { return attempt_; }
  // After the Result.
  const RoundResult& result() const { return state_.result; }

 private:
  Client(const ClientTask& task, Identity identity, const PublicKey& authority,
         const Policy& policy, EntropySource& entropy);

  Result<void> adopt_offer(const Offer& offer);
  Result<void> check_policy(const Offer& offer, const Config& config) const;
  Result<void> check_expected(MessageType type) const;
  Result<Bytes> answer(const Envelope& envelope, std::int64_t now_ms);
  Reply reply_with(const Bytes& to_send) const;
  void abort();

  Result<Bytes> on_offer(const Envelope& envelope, std::int64_t now_ms);
  Result<Bytes> on_roster(const Bytes& body, std::int64_t now_ms);
  Result<Bytes> on_inbox(const Bytes& body);
  Result<Bytes> on_survivors(const Bytes& body);
  Result<Bytes> on_confirmations(const Bytes& body);
  Result<Bytes> on_result(const Bytes& body);

  Result<Roster> read_roster(const RosterMessage& message) const;
  Result<void> adopt_roster(Roster roster);
  Result<Bytes> make_shares();
  Result<Bytes> make_masked();
  Bytes make_unmask();
  Bytes seal(MessageType type, const Bytes& body, ByteSpan raw = {}) const;

  ClientTask task_;
  Identity identity_;
  PublicKey authority_;
  Policy policy_;
  EntropySource* entropy_;
  ClientState state_;

  // Derived from the state's offer and roster.
  std::optional<Config> config_;
  Attempt attempt_;
  Hash ctx_{};
  PublicKey server_key_{};
  Roster roster_;
  std::uint32_t index_ = 0;
  std::optional<MaskedSum> input_;
};

}  // namespace inkling::secagg
