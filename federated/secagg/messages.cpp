#include "federated/secagg/messages.h"

#include <algorithm>

#include "federated/secagg/envelope.h"
#include "federated/secagg/messages_generated.h"

namespace inkling::secagg {

namespace {

using Builder = flatbuffers::FlatBufferBuilder;

constexpr unsigned kDepthMax = 4;
constexpr unsigned kTablesMax = kCohortMax + 8;
constexpr std::size_t kSmallestBody = 8;

template <typename T>
Bytes finished(Builder& builder, flatbuffers::Offset<T> root) {
  builder.Finish(root);
  return Bytes(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
}

// A wire struct that is nothing but bytes.
template <typename Wire, std::size_t N>
Wire to_wire(const std::array<std::uint8_t, N>& bytes) {
  static_assert(sizeof(Wire) == N && alignof(Wire) == 1);
  return Wire(std::span<const std::uint8_t, N>(bytes));
}

template <std::uint16_t N>
std::array<std::uint8_t, N> from_wire(const flatbuffers::Array<std::uint8_t, N>* bytes) {
  std::array<std::uint8_t, N> out;
  std::copy_n(bytes->Data(), N, out.begin());
  return out;
}

Bytes from_wire(const flatbuffers::Vector<std::uint8_t>* bytes) {
  return Bytes(bytes->begin(), bytes->end());
}

wire::Certificate to_wire(const Certificate& c) {
  return wire::Certificate(c.id, c.key, c.not_after_ms, c.signature);
}

Certificate from_wire(const wire::Certificate* c) {
  return {.id = from_wire(c->id()),
          .key = from_wire(c->key()),
          .not_after_ms = c->not_after_ms(),
          .signature = from_wire(c->signature())};
}

flatbuffers::Offset<flatbuffers::Vector<const wire::SealedShare*>> boxes_to_wire(
    Builder& builder, const std::vector<SealedShare>& boxes) {
  std::vector<wire::SealedShare> rows;
  for (const SealedShare& box : boxes) rows.emplace_back(box.peer, box.box);
  return builder.CreateVectorOfStructs(rows);
}

Result<std::vector<SealedShare>> boxes_from_wire(
    const flatbuffers::Vector<const wire::SealedShare*>& rows) {
  if (rows.size() > kCohortMax) {
    return fail(ErrorCode::kCorrupt, "boxes: ", rows.size(), ", expected at most ", kCohortMax);
  }
  std::vector<SealedShare> out;
  for (const wire::SealedShare* row : rows) {
    out.push_back({.peer = row->peer(), .box = from_wire(row->box())});
  }
  return out;
}

template <typename Wire>
Result<const Wire*> verified(const Bytes& body, const char* what) {
  if (body.size() < kSmallestBody || body.size() > kBodyBytesMax) {
    return fail(ErrorCode::kCorrupt, what, ": a body of ", body.size(), " bytes, expected ",
                kSmallestBody, "..", kBodyBytesMax);
  }
  flatbuffers::Verifier verifier(body.data(), body.size(), kDepthMax, kTablesMax);
  if (!verifier.VerifyBuffer<Wire>(nullptr)) {
    return fail(ErrorCode::kCorrupt, what, ": a body of ", body.size(),
                " bytes that is not a valid flatbuffer");
  }
  return flatbuffers::GetRoot<Wire>(body.data());
}

Result<void> check_size(std::size_t expected, const Bytes& body, const char* what) {
  if (expected == body.size()) return {};
  return fail(ErrorCode::kCorrupt, what, ": a body of ", body.size(), " bytes, expected ",
              expected);
}

}  // namespace

Bytes survivors_statement(const Hash& ctx, ByteSpan survivors) {
  ByteWriter out;
  out.text("fl-sa/1/U3");
  out.raw(ctx);
  out.raw(hash_of({survivors}));
  return out.take();
}

Bytes encode_offer(const Offer& m) {
  Builder builder;
  const auto config = builder.CreateVector(m.config);
  const auto task = to_wire<wire::Id>(m.identity.task);
  const auto plan = to_wire<wire::Digest>(m.identity.plan_hash);
  const auto model = to_wire<wire::Digest>(m.identity.model_hash);
  const auto nonce = to_wire<wire::Digest>(m.identity.server_nonce);
  const auto server = to_wire(m.server);
  return finished(builder,
                  wire::CreateOffer(builder, config, &task, m.identity.attempt.round,
                                    m.identity.attempt.attempt, &plan, &model, &nonce, &server));
}

Result<Offer> decode_offer(const Bytes& body) {
  INK_TRY(const wire::Offer* m, verified<wire::Offer>(body, "offer"));
  if (m->config()->size() > kConfigBytesMax) {
    return fail(ErrorCode::kCorrupt, "offer: a config of ", m->config()->size(),
                " bytes, expected at most ", kConfigBytesMax);
  }
  Offer out{.config = from_wire(m->config()),
            .identity = {.task = from_wire(m->task()->bytes()),
                         .attempt = {.round = m->round(), .attempt = m->attempt()},
                         .plan_hash = from_wire(m->plan_hash()->bytes()),
                         .model_hash = from_wire(m->model_hash()->bytes()),
                         .server_nonce = from_wire(m->server_nonce()->bytes())},
            .server = from_wire(m->server())};
  INK_CHECK_OK(check_size(encode_offer(out).size(), body, "offer"));
  return out;
}

Bytes encode_advertise(const Advertise& m) {
  Builder builder;
  const auto certificate = to_wire(m.certificate);
  const auto c_pk = to_wire<wire::Digest>(m.c_pk);
  const auto s_pk = to_wire<wire::Digest>(m.s_pk);
  const auto commitment = to_wire<wire::Digest>(m.commitment);
  return finished(builder, wire::CreateAdvertise(builder, &certificate, &c_pk, &s_pk, &commitment));
}

Result<Advertise> decode_advertise(const Bytes& body) {
  INK_TRY(const wire::Advertise* m, verified<wire::Advertise>(body, "advertise"));
  Advertise out{.certificate = from_wire(m->certificate()),
                .c_pk = from_wire(m->c_pk()->bytes()),
                .s_pk = from_wire(m->s_pk()->bytes()),
                .commitment = from_wire(m->commitment()->bytes())};
  INK_CHECK_OK(check_size(encode_advertise(out).size(), body, "advertise"));
  return out;
}

Bytes encode_roster(const RosterMessage& m) {
  Builder builder;
  std::vector<flatbuffers::Offset<wire::RosterRow>> rows;
  for (const RosterRow& row : m.rows) {
    const auto advertise = builder.CreateVector(row.advertise);
    const auto signature = to_wire<wire::Signature>(row.signature);
    rows.push_back(wire::CreateRosterRow(builder, advertise, &signature));
  }
  const auto vector = builder.CreateVector(rows);
  const auto hash = to_wire<wire::Digest>(m.roster_hash);
  return finished(builder,
                  wire::CreateRoster(builder, vector, m.shape.degree, m.shape.threshold, &hash));
}

Result<RosterMessage> decode_roster(const Bytes& body) {
  INK_TRY(const wire::Roster* m, verified<wire::Roster>(body, "roster"));
  if (m->rows()->size() > kCohortMax) {
    return fail(ErrorCode::kCorrupt, "roster: ", m->rows()->size(), " rows, expected at most ",
                kCohortMax);
  }
  RosterMessage out{.rows = {},
                    .shape = {.degree = m->degree(), .threshold = m->threshold()},
                    .roster_hash = from_wire(m->roster_hash()->bytes())};
  for (const wire::RosterRow* row : *m->rows()) {
    if (row->advertise()->size() > kAdvertiseBytesMax) {
      return fail(ErrorCode::kCorrupt, "roster: a row of ", row->advertise()->size(),
                  " bytes, expected at most ", kAdvertiseBytesMax);
    }
    out.rows.push_back({.advertise = from_wire(row->advertise()),
                        .signature = from_wire(row->signature()->bytes())});
  }
  INK_CHECK_OK(check_size(encode_roster(out).size(), body, "roster"));
  return out;
}

Bytes encode_shares(const Shares& m) {
  Builder builder;
  const auto boxes = boxes_to_wire(builder, m.boxes);
  return finished(builder, wire::CreateShares(builder, boxes));
}

Result<Shares> decode_shares(const Bytes& body) {
  INK_TRY(const wire::Shares* m, verified<wire::Shares>(body, "shares"));
  INK_TRY(std::vector<SealedShare> boxes, boxes_from_wire(*m->boxes()));
  Shares out{.boxes = std::move(boxes)};
  INK_CHECK_OK(check_size(encode_shares(out).size(), body, "shares"));
  return out;
}

Bytes encode_inbox(const Inbox& m) {
  Builder builder;
  const auto present = builder.CreateVector(m.present);
  const auto boxes = boxes_to_wire(builder, m.boxes);
  return finished(builder, wire::CreateInbox(builder, present, boxes));
}

Result<Inbox> decode_inbox(const Bytes& body) {
  INK_TRY(const wire::Inbox* m, verified<wire::Inbox>(body, "inbox"));
  INK_TRY(std::vector<SealedShare> boxes, boxes_from_wire(*m->boxes()));
  Inbox out{.present = from_wire(m->present()), .boxes = std::move(boxes)};
  INK_CHECK_OK(check_size(encode_inbox(out).size(), body, "inbox"));
  return out;
}

Bytes encode_masked(const Masked& m) {
  Builder builder;
  const auto digest = to_wire<wire::Digest>(m.digest);
  return finished(builder, wire::CreateMasked(builder, &digest));
}

Result<Masked> decode_masked(const Bytes& body) {
  INK_TRY(const wire::Masked* m, verified<wire::Masked>(body, "masked"));
  Masked out{.digest = from_wire(m->digest()->bytes())};
  INK_CHECK_OK(check_size(encode_masked(out).size(), body, "masked"));
  return out;
}

Bytes encode_survivors(const Survivors& m) {
  Builder builder;
  const auto survivors = builder.CreateVector(m.survivors);
  return finished(builder, wire::CreateSurvivors(builder, survivors));
}

Result<Survivors> decode_survivors(const Bytes& body) {
  INK_TRY(const wire::Survivors* m, verified<wire::Survivors>(body, "survivors"));
  Survivors out{.survivors = from_wire(m->survivors())};
  INK_CHECK_OK(check_size(encode_survivors(out).size(), body, "survivors"));
  return out;
}

Bytes encode_confirm(const Confirm& m) {
  Builder builder;
  const auto signature = to_wire<wire::Signature>(m.signature);
  return finished(builder, wire::CreateConfirm(builder, &signature));
}

Result<Confirm> decode_confirm(const Bytes& body) {
  INK_TRY(const wire::Confirm* m, verified<wire::Confirm>(body, "confirm"));
  Confirm out{.signature = from_wire(m->signature()->bytes())};
  INK_CHECK_OK(check_size(encode_confirm(out).size(), body, "confirm"));
  return out;
}

Bytes encode_confirmations(const Confirmations& m) {
  Builder builder;
  std::vector<wire::Confirmation> rows;
  for (const Confirmation& c : m.signatures) rows.emplace_back(c.client, c.signature);
  const auto signatures = builder.CreateVectorOfStructs(rows);
  return finished(builder, wire::CreateConfirmations(builder, signatures));
}

Result<Confirmations> decode_confirmations(const Bytes& body) {
  INK_TRY(const wire::Confirmations* m, verified<wire::Confirmations>(body, "confirmations"));
  if (m->signatures()->size() > kCohortMax) {
    return fail(ErrorCode::kCorrupt, "confirmations: ", m->signatures()->size(),
                " signatures, expected at most ", kCohortMax);
  }
  Confirmations out;
  for (const wire::Confirmation* row : *m->signatures()) {
    out.signatures.push_back({.client = row->client(), .signature = from_wire(row->signature())});
  }
  INK_CHECK_OK(check_size(encode_confirmations(out).size(), body, "confirmations"));
  return out;
}

Bytes encode_unmask(const Unmask& m) {
  Builder builder;
  std::vector<wire::ReleasedShare> rows;
  for (const ReleasedShare& s : m.shares) {
    rows.emplace_back(s.owner, static_cast<std::uint32_t>(s.kind), s.share);
  }
  const auto shares = builder.CreateVectorOfStructs(rows);
  return finished(builder, wire::CreateUnmask(builder, shares));
}

Result<Unmask> decode_unmask(const Bytes& body) {
  INK_TRY(const wire::Unmask* m, verified<wire::Unmask>(body, "unmask"));
  if (m->shares()->size() > kCohortMax) {
    return fail(ErrorCode::kCorrupt, "unmask: ", m->shares()->size(), " shares, expected at most ",
                kCohortMax);
  }
  Unmask out;
  for (const wire::ReleasedShare* row : *m->shares()) {
    if (row->kind() < 1 || row->kind() > 2) {
      return fail(ErrorCode::kCorrupt, "unmask: share kind ", row->kind(), ", expected 1 or 2");
    }
    out.shares.push_back({.owner = row->owner(),
                          .kind = static_cast<ShareKind>(row->kind()),
                          .share = from_wire(row->share())});
  }
  INK_CHECK_OK(check_size(encode_unmask(out).size(), body, "unmask"));
  return out;
}

Bytes encode_result(const RoundResult& m) {
  Builder builder;
  const auto hash = to_wire<wire::Digest>(m.model_hash);
  return finished(
      builder, wire::CreateResult(builder, static_cast<std::uint8_t>(m.code), m.survivors, &hash));
}

Result<RoundResult> decode_result(const Bytes& body) {
  INK_TRY(const wire::Result* m, verified<wire::Result>(body, "result"));
  if (m->code() > static_cast<std::uint8_t>(RoundCode::kCancelled)) {
    return fail(ErrorCode::kCorrupt, "result: unknown code ", int(m->code()));
  }
  RoundResult out{.code = static_cast<RoundCode>(m->code()),
                  .survivors = m->survivors(),
                  .model_hash = from_wire(m->model_hash()->bytes())};
  INK_CHECK_OK(check_size(encode_result(out).size(), body, "result"));
  return out;
}

}  // namespace inkling::secagg
