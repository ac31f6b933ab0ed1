#pragma once
// All that a client must remember between messages, and its encoding for storage.
//
// The encoding holds the round's secrets in clear: seal it under a device key, replace the old
// record atomically, and delete it when the round is over. A SHA-256 at its end catches torn
// writes; against an adversary only the caller's sealing helps.

#include <cstdint>
#include <vector>

#include "federated/secagg/client_set.h"
#include "federated/secagg/envelope.h"
#include "federated/secagg/share_box.h"

namespace inkling::secagg {

enum class ClientPhase : std::uint8_t {
  kIdle = 0,        // waits for Offer
  kAdvertised = 1,  // keys sent; waits for Roster
  kShared = 2,      // share boxes sent; waits for Inbox
  kReady = 3,       // Inbox accepted; waits for set_input
  kMasked = 4,      // masked vector sent; waits for Survivors
  kConfirmed = 5,   // strict mode: signed the survivors; waits for Confirmations
  kUnmasked = 6,    // shares released; waits for Result
  kDone = 7,        // Result received, whichever it was
  kAborted = 8      // this client refused what the server sent
};

// A request that was answered, and the answer for byte-identical resends.
struct Answer {
  MessageType type = MessageType::kOffer;
  Hash request{};  // SHA-256 of the message
  Bytes reply;     // empty when none was due, or no longer kept
  bool kept = true;
};

struct HeldShare {
  std::uint32_t owner = 0;
  SharePair pair;
};

struct ClientState {
  ClientPhase phase = ClientPhase::kIdle;
  Bytes offer;   // the Offer's body as received
  Bytes roster;  // the Roster's body as received
  Secret<32> c_secret;
  Secret<32> s_secret;
  Secret<32> seed;  // b
  std::vector<HeldShare> held;
  ClientSet present;    // U2
  ClientSet survivors;  // U3
  std::vector<Answer> answers;
  RoundResult result;

  // Forgets every secret and large blob; keeps what tells a repeated request from a new one.
  void forget_secrets();
};

SecretBytes encode_state(const ClientState& state);
// kCorrupt unless it is exactly one encoded state.
Result<ClientState> decode_state(ByteSpan record);

}  // namespace inkling::secagg
