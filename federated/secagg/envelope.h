#pragma once
// The frame around every message of fl-sa/1, and the signature on it.
//
//   0  "fls1"              4
//   4  type                1
//   5  zero                3
//   8  raw section bytes   8   little-endian
//  16  body bytes          4   little-endian
//  20  ctx                32
//  52  signature          64   Ed25519 over "fl-sa/1/<type name>" || ctx || SHA-256(body)
// 116  body                    one flatbuffer
//  ..  raw section             only in Masked, whose body carries its SHA-256
//
// The sizes must account for every byte. The signature covers the body exactly as it arrived.

#include <cstdint>
#include <string_view>

#include "federated/secagg/crypto.h"

namespace inkling::secagg {

enum class MessageType : std::uint8_t {
  kOffer = 1,
  kAdvertise,
  kRoster,
  kShares,
  kInbox,
  kMasked,
  kSurvivors,
  kConfirm,
  kConfirmations,
  kUnmask,
  kResult
};

inline constexpr std::size_t kEnvelopeHeaderBytes = 116;
inline constexpr std::size_t kBodyBytesMax = std::size_t{16} << 20;

std::string_view message_type_name(MessageType type);  // "offer", "advertise", ...

struct Envelope {
  MessageType type = MessageType::kOffer;
  Hash ctx{};
  Signature signature{};
  Bytes body;    // a copy: flatbuffers are read from aligned memory
  ByteSpan raw;  // a view of the message that was opened
};

Bytes seal_envelope(MessageType type, const Hash& ctx, const Bytes& body, ByteSpan raw,
                    const SigningKey& key);

// The frame alone; kCorrupt when it does not add up. Nothing is authenticated yet.
Result<Envelope> open_envelope(ByteSpan message);

// What is signed, and the check of it; kVerification when it does not hold.
Bytes signed_part(MessageType type, const Hash& ctx, ByteSpan body);
Result<void> check_signature(const Envelope& envelope, const PublicKey& key);

}  // namespace inkling::secagg
