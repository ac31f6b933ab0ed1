#include "federated/secagg/envelope.h"

#include <algorithm>

namespace inkling::secagg {

namespace {
constexpr std::string_view kMagic = "fls1";
}

std::string_view message_type_name(MessageType type) {
  switch (type) {
    case MessageType::kOffer:
      return "offer";
    case MessageType::kAdvertise:
      return "advertise";
    case MessageType::kRoster:
      return "roster";
    case MessageType::kShares:
      return "shares";
    case MessageType::kInbox:
      return "inbox";
    case MessageType::kMasked:
      return "masked";
    case MessageType::kSurvivors:
      return "survivors";
    case MessageType::kConfirm:
      return "confirm";
    case MessageType::kConfirmations:
      return "confirmations";
    case MessageType::kUnmask:
      return "unmask";
    case MessageType::kResult:
      return "result";
  }
  return "unknown";
}

Bytes signed_part(MessageType type, const Hash& ctx, ByteSpan body) {
  ByteWriter out;
  out.text("fl-sa/1/");
  out.text(message_type_name(type));
  out.raw(ctx);
  out.raw(hash_of({body}));
  return out.take();
}

Bytes seal_envelope(MessageType type, const Hash& ctx, const Bytes& body, ByteSpan raw,
                    const SigningKey& key) {
  INK_INVARIANT(body.size() <= kBodyBytesMax);
  ByteWriter out;
  out.text(kMagic);
  out.u8(static_cast<std::uint8_t>(type));
  for (int i = 0; i < 3; ++i) out.u8(0);
  out.u64(raw.size());
  out.u32(static_cast<std::uint32_t>(body.size()));
  out.raw(ctx);
  out.raw(key.sign(signed_part(type, ctx, body)));
  out.raw(body);
  out.raw(raw);
  return out.take();
}

Result<Envelope> open_envelope(ByteSpan message) {
  ByteReader in(message);
  const bool magic = as_text(in.raw(kMagic.size())) == kMagic;
  const std::uint8_t type = in.u8();
  const std::uint32_t zero = in.u8() | in.u8() | in.u8();
  const std::uint64_t raw_bytes = in.u64();
  const std::uint32_t body_bytes = in.u32();
  const ByteSpan ctx = in.raw(sizeof(Hash));
  const ByteSpan signature = in.raw(sizeof(Signature));
  if (!in.ok() || !magic || zero != 0 || type < std::uint8_t(MessageType::kOffer) ||
      type > std::uint8_t(MessageType::kResult)) {
    return fail(ErrorCode::kCorrupt, "envelope: ", message.size(),
                " bytes that do not start as a message of fl-sa/1");
  }
  Envelope envelope{
      .type = static_cast<MessageType>(type), .ctx = {}, .signature = {}, .body = {}, .raw = {}};
  if (body_bytes > kBodyBytesMax || in.remaining() < body_bytes ||
      in.remaining() - body_bytes != raw_bytes) {
    return fail(ErrorCode::kCorrupt, "envelope: ", message_type_name(envelope.type), " of ",
                message.size(), " bytes announces a body of ", body_bytes, " and a raw section of ",
                raw_bytes);
  }
  if (raw_bytes != 0 && envelope.type != MessageType::kMasked) {
    return fail(ErrorCode::kCorrupt, "envelope: ", message_type_name(envelope.type), " has ",
                raw_bytes, " raw bytes, expected none");
  }
  std::copy(ctx.begin(), ctx.end(), envelope.ctx.begin());
  std::copy(signature.begin(), signature.end(), envelope.signature.begin());
  const ByteSpan body = in.raw(body_bytes);
  envelope.body.assign(body.begin(), body.end());
  envelope.raw = in.raw(raw_bytes);
  return envelope;
}

Result<void> check_signature(const Envelope& envelope, const PublicKey& key) {
  if (!signature_holds(key, signed_part(envelope.type, envelope.ctx, envelope.body),
                       envelope.signature)) {
    return fail(ErrorCode::kVerification, message_type_name(envelope.type),
                ": the sender's signature does not hold");
  }
  return {};
}

}  // namespace inkling::secagg
