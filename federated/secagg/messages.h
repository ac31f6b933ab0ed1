#pragma once
// The bodies of fl-sa/1's messages as values, and their flatbuffer encoding (messages.fbs).
//
// decode_x treats its bytes as hostile: kCorrupt unless they are one verified flatbuffer of that
// type, within the limits below, and of the size that encode_x gives the same value, so nothing
// rides along. It judges form only; whether a roster or a survivor set is acceptable is the
// machines' business. Decoders take Bytes because flatbuffers are read from aligned memory.

#include <array>
#include <cstdint>
#include <vector>

#include "federated/secagg/config.h"
#include "federated/secagg/graph.h"
#include "federated/secagg/identity.h"
#include "federated/secagg/shamir.h"

namespace inkling::secagg {

inline constexpr std::size_t kSharePairBytes = 2 * kShareBytes;
inline constexpr std::size_t kShareBoxBytes = kSharePairBytes + kGcmTagBytes;
inline constexpr std::size_t kConfigBytesMax = 1024;
inline constexpr std::size_t kAdvertiseBytesMax = 1024;

// P0, server to client.
struct Offer {
  Bytes config;  // encode_config's bytes, hashed into ctx as they are
  RoundIdentity identity;
  Certificate server;
};

// R0, client to server.
struct Advertise {
  Certificate certificate;
  PublicKey c_pk{};   // X25519, for share boxes
  PublicKey s_pk{};   // X25519, for pair masks
  Hash commitment{};  // seed_commitment(ctx, b)
};

// R1, server to client. A client's index is its row's position.
struct RosterRow {
  Bytes advertise;  // the Advertise body as its client signed it
  Signature signature{};
};
struct RosterMessage {
  std::vector<RosterRow> rows;
  GraphShape shape;
  Hash roster_hash{};
};

// R1, client to server: a box for each neighbour, ascending. R2 Inbox: a box from each.
struct SealedShare {
  std::uint32_t peer = 0;
  std::array<std::uint8_t, kShareBoxBytes> box{};
};
struct Shares {
  std::vector<SealedShare> boxes;
};
struct Inbox {
  Bytes present;  // U2, a ClientSet
  std::vector<SealedShare> boxes;
};

// R2, client to server; the packed vector is the envelope's raw section.
struct Masked {
  Hash digest{};
};

// R3, server to client: U3, a ClientSet.
struct Survivors {
  Bytes survivors;
};

// R3 in strict mode, client to server, and all of them back.
struct Confirm {
  Signature signature{};  // over survivors_statement(ctx, U3)
};
struct Confirmation {
  std::uint32_t client = 0;
  Signature signature{};
};
struct Confirmations {
  std::vector<Confirmation> signatures;
};

// R4, client to server, ascending by owner.
enum class ShareKind : std::uint8_t { kSelfMask = 1, kPairKey = 2 };
struct ReleasedShare {
  std::uint32_t owner = 0;
  ShareKind kind = ShareKind::kSelfMask;
  ShareBytes share{};
};
struct Unmask {
  std::vector<ReleasedShare> shares;
};

// R5, server to client.
enum class RoundCode : std::uint8_t {
  kOk = 0,
  kTooFewClients = 1,  // below n_min, or more drop-outs than delta
  kUnrecoverable = 2,  // some secret had too few good shares
  kCountMismatch = 3,  // masks did not cancel, or the sum is no sum of updates
  kCancelled = 4       // by the server's operator
};
struct RoundResult {
  RoundCode code = RoundCode::kOk;
  std::uint32_t survivors = 0;
  Hash model_hash{};  // of the model that the round made
};

// What Confirm signs.
Bytes survivors_statement(const Hash& ctx, ByteSpan survivors);

Bytes encode_offer(const Offer& message);
Bytes encode_advertise(const Advertise& message);
Bytes encode_roster(const RosterMessage& message);
Bytes encode_shares(const Shares& message);
Bytes encode_inbox(const Inbox& message);
Bytes encode_masked(const Masked& message);
Bytes encode_survivors(const Survivors& message);
Bytes encode_confirm(const Confirm& message);
Bytes encode_confirmations(const Confirmations& message);
Bytes encode_unmask(const Unmask& message);
Bytes encode_result(const RoundResult& message);

Result<Offer> decode_offer(const Bytes& body);
Result<Advertise> decode_advertise(const Bytes& body);
Result<RosterMessage> decode_roster(const Bytes& body);
Result<Shares> decode_shares(const Bytes& body);
Result<Inbox> decode_inbox(const Bytes& body);
Result<Masked> decode_masked(const Bytes& body);
Result<Survivors> decode_survivors(const Bytes& body);
Result<Confirm> decode_confirm(const Bytes& body);
Result<Confirmations> decode_confirmations(const Bytes& body);
Result<Unmask> decode_unmask(const Bytes& body);
Result<RoundResult> decode_result(const Bytes& body);

}  // namespace inkling::secagg
