#include "federated/secagg/roster.h"

#include <algorithm>

#include "federated/secagg/envelope.h"

namespace inkling::secagg {

namespace {

template <typename T>
bool all_distinct(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  return std::adjacent_find(values.begin(), values.end()) == values.end();
}

Result<void> check_distinct(std::span<const Member> members) {
  std::vector<ClientId> ids;
  std::vector<PublicKey> keys;
  for (const Member& member : members) {
    ids.push_back(member.id);
    keys.insert(keys.end(), {member.identity_key, member.c_pk, member.s_pk});
  }
  if (!all_distinct(ids)) return fail(ErrorCode::kProtocol, "roster: a client appears twice");
  if (!all_distinct(keys)) return fail(ErrorCode::kProtocol, "roster: a public key appears twice");
  return {};
}

}  // namespace

Hash roster_hash_of(const Hash& ctx, std::span<const RosterRow> rows) {
  ByteWriter out;
  out.text("fl-sa/1/roster");
  out.raw(ctx);
  out.u32(static_cast<std::uint32_t>(rows.size()));
  for (const RosterRow& row : rows) {
    out.raw(hash_of({row.advertise}));
    out.raw(row.signature);
  }
  return hash_of({out.bytes()});
}

Result<Roster> Roster::read(const RosterMessage& message, const Hash& ctx, const Config& config) {
  const auto n = static_cast<std::uint32_t>(message.rows.size());
  if (n < config.n_min || n > config.n_max) {
    return fail(ErrorCode::kProtocol, "roster: ", n, " clients, expected ", config.n_min, "..",
                config.n_max);
  }
  Roster roster;
  for (const RosterRow& row : message.rows) {
    INK_TRY(const Advertise advertise, decode_advertise(row.advertise));
    roster.members_.push_back({.id = advertise.certificate.id,
                               .identity_key = advertise.certificate.key,
                               .c_pk = advertise.c_pk,
                               .s_pk = advertise.s_pk,
                               .commitment = advertise.commitment});
  }
  INK_CHECK_OK(check_distinct(roster.members_));
  roster.hash_ = roster_hash_of(ctx, message.rows);
  if (roster.hash_ != message.roster_hash) {
    return fail(ErrorCode::kProtocol, "roster: its hash is not that of its rows");
  }
  INK_TRY(const GraphShape shape, graph_shape(n, config));
  if (shape != message.shape) {
    return fail(ErrorCode::kProtocol, "roster: degree ", message.shape.degree, " and threshold ",
                message.shape.threshold, " for ", n, " clients, expected ", shape.degree, " and ",
                shape.threshold);
  }
  roster.threshold_ = shape.threshold;
  roster.graph_ = Graph(n, shape, roster.hash_);
  return roster;
}

std::optional<std::uint32_t> Roster::index_of(const ClientId& id) const {
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [&](const Member& member) { return member.id == id; });
  if (found == members_.end()) return std::nullopt;
  return static_cast<std::uint32_t>(found - members_.begin());
}

std::uint32_t Roster::holders_in(std::uint32_t owner, const ClientSet& set) const {
  const std::vector<std::uint32_t> holders = graph_.holders(owner);
  return static_cast<std::uint32_t>(std::count_if(
      holders.begin(), holders.end(), [&](std::uint32_t holder) { return set.contains(holder); }));
}

Result<void> check_roster_signatures(const RosterMessage& message, const Hash& ctx,
                                     const PublicKey& authority, std::int64_t now_ms) {
  for (std::size_t i = 0; i < message.rows.size(); ++i) {
    const RosterRow& row = message.rows[i];
    INK_TRY(const Advertise advertise, decode_advertise(row.advertise));
    const Certificate& certificate = advertise.certificate;
    const auto status = check_certificate(certificate, Role::kClient, authority, now_ms);
    if (!status) return fail_within(status.error(), "roster row ", i);
    if (!signature_holds(certificate.key, signed_part(MessageType::kAdvertise, ctx, row.advertise),
                         row.signature)) {
      return fail(ErrorCode::kVerification, "roster row ", i,
                  ": not signed by its client for this round");
    }
  }
  return {};
}

}  // namespace inkling::secagg
