// Server's phases in protocol order: what each accepts, and how it closes.

#include <algorithm>

#include "federated/secagg/schedule.h"
#include "server-sim/secagg/secagg_server.h"

namespace inkling::secagg {

namespace {

// A low-order point gives zero with every X25519 secret, so one fixed secret finds it. Such a key
// would make every neighbour of its owner give up.
Result<void> check_agreement_key(const PublicKey& key) {
  const AgreementKey probe = AgreementKey::from_secret(Secret<32>());
  INK_CHECK_OK(probe.agree(key));
  return {};
}

}  // namespace

void Server::close(std::int64_t now_ms) {
  switch (phase_) {
    case ServerPhase::kAdvertising:
      return close_advertising(now_ms);
    case ServerPhase::kSharing:
      return close_sharing(now_ms);
    case ServerPhase::kMasking:
      return close_masking(now_ms);
    case ServerPhase::kConfirming:
      return close_confirming(now_ms);
    case ServerPhase::kUnmasking:
      return close_unmasking(now_ms);
    default:
      return;
  }
}

Result<void> Server::check_cohort(std::uint32_t count) const {
  const Config& config = setup_.config;
  const auto may_drop =
      static_cast<std::uint32_t>(std::uint64_t{config.delta_ppm} * roster_.size() / kPpm);
  const std::uint32_t needed = std::max(config.n_min, roster_.size() - may_drop);
  if (count >= needed) return {};
  return fail(ErrorCode::kProtocol, count, " of ", roster_.size(), " clients answered in phase ",
              int(phase_), ", expected ", needed);
}

// R0.

Result<void> Server::on_advertise(const ClientId& client, const Envelope& envelope,
                                  std::int64_t now_ms) {
  INK_TRY(const Advertise message, decode_advertise(envelope.body));
  const Certificate& certificate = message.certificate;
  INK_CHECK_OK(check_certificate(certificate, Role::kClient, setup_.authority, now_ms));
  INK_CHECK_OK(check_signature(envelope, certificate.key));
  if (certificate.id != client) {
    return fail(ErrorCode::kVerification, "advertise: the certificate is that of ",
                to_hex(certificate.id));
  }
  INK_CHECK_OK(check_agreement_key(message.c_pk));
  INK_CHECK_OK(check_agreement_key(message.s_pk));
  const std::array<PublicKey, 3> own = {certificate.key, message.c_pk, message.s_pk};
  if (own[0] == own[1] || own[0] == own[2] || own[1] == own[2]) {
    return fail(ErrorCode::kProtocol, "advertise: one public key serves two purposes");
  }
  for (const PublicKey& key : own) {
    if (keys_in_use_.count(key) == 0) continue;
    return fail(ErrorCode::kProtocol, "advertise: a public key of another client");
  }
  keys_in_use_.insert(own.begin(), own.end());
  advertised_[client] = {.advertise = envelope.body, .signature = envelope.signature};
  return {};
}

void Server::close_advertising(std::int64_t now_ms) {
  RosterMessage message;
  for (const auto& [id, row] : advertised_) message.rows.push_back(row);
  const auto n = static_cast<std::uint32_t>(message.rows.size());
  const auto shape = graph_shape(n, setup_.config);
  if (!shape) return abort(RoundCode::kTooFewClients, shape.error().message);
  message.shape = *shape;
  message.roster_hash = roster_hash_of(ctx_, message.rows);
  auto roster = Roster::read(message, ctx_, setup_.config);
  if (!roster) return abort(RoundCode::kTooFewClients, roster.error().message);
  roster_ = *std::move(roster);
  shares_.resize(n);
  shared_ = present_ = survivors_ = confirmed_ = unmasked_ = ClientSet(n);
  roster_message_ = seal(MessageType::kRoster, encode_roster(message));
  enter(ServerPhase::kSharing, now_ms);
}

// R1.

Result<void> Server::on_shares(std::uint32_t index, const Bytes& body) {
  INK_TRY(Shares message, decode_shares(body));
  const std::vector<std::uint32_t> neighbours = roster_.graph().neighbours(index);
  const bool matches =
      std::equal(message.boxes.begin(), message.boxes.end(), neighbours.begin(), neighbours.end(),
                 [](const SealedShare& box, std::uint32_t v) { return box.peer == v; });
  if (!matches) {
    return fail(ErrorCode::kProtocol, "shares: ", message.boxes.size(),
                " boxes that are not one for each of the ", neighbours.size(), " neighbours");
  }
  shares_[index] = std::move(message);
  shared_.insert(index);
  return {};
}

// Who has fewer than t holders among those present could not be unmasked and would refuse the
// inbox, so it goes, until nobody else has to.
void Server::close_sharing(std::int64_t now_ms) {
  present_ = shared_;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::uint32_t i = 0; i < roster_.size(); ++i) {
      if (!present_.contains(i) || roster_.holders_in(i, present_) >= roster_.threshold()) continue;
      present_.erase(i);
      changed = true;
    }
  }
  const auto status = check_cohort(present_.count());
  if (!status) return abort(RoundCode::kTooFewClients, status.error().message);
  sum_.emplace(setup_.config.ring_bits, setup_.config.masked_length());
  enter(ServerPhase::kMasking, now_ms);
}

// R2.

Result<Bytes> Server::make_inbox(std::uint32_t index) const {
  Inbox inbox{.present = present_.bytes(), .boxes = {}};
  for (const std::uint32_t sender : roster_.graph().neighbours(index)) {
    if (!present_.contains(sender)) continue;
    const std::vector<SealedShare>& boxes = shares_[sender].boxes;
    const auto box = std::lower_bound(
        boxes.begin(), boxes.end(), index,
        [](const SealedShare& b, std::uint32_t wanted) { return b.peer < wanted; });
    inbox.boxes.push_back({.peer = sender, .box = box->box});
  }
  return seal(MessageType::kInbox, encode_inbox(inbox));
}

Result<void> Server::on_masked(std::uint32_t index, const Envelope& envelope) {
  INK_TRY(const Masked message, decode_masked(envelope.body));
  if (!present_.contains(index)) {
    return fail(ErrorCode::kProtocol, "masked: the client dropped out before");
  }
  if (hash_of({envelope.raw}) != message.digest) {
    return fail(ErrorCode::kCorrupt, "masked: the vector's digest differs from the signed one");
  }
  INK_CHECK_OK(sum_->add_packed(envelope.raw));
  survivors_.insert(index);
  return {};
}

std::vector<std::uint32_t> Server::owners_to_join() const {
  std::vector<std::uint32_t> owners;
  for (std::uint32_t v = 0; v < roster_.size(); ++v) {
    // A lost client's pair masks are in the sum only where a neighbour survived.
    if (present_.contains(v) && roster_.holders_in(v, survivors_) > 0) owners.push_back(v);
  }
  return owners;
}

Result<void> Server::check_holders(const ClientSet& set) const {
  for (const std::uint32_t owner : owners_to_join()) {
    const std::uint32_t holders = roster_.holders_in(owner, set);
    if (holders >= roster_.threshold()) continue;
    return fail(ErrorCode::kProtocol, "client ", to_hex(roster_.member(owner).id), " has ", holders,
                " holders left, expected ", roster_.threshold());
  }
  return {};
}

void Server::close_masking(std::int64_t now_ms) {
  const auto status = check_cohort(survivors_.count());
  if (!status) return abort(RoundCode::kTooFewClients, status.error().message);
  const auto enough = check_holders(survivors_);
  if (!enough) return abort(RoundCode::kUnrecoverable, enough.error().message);
  shares_.clear();
  given_.resize(roster_.size());
  asked_ = survivors_;
  survivors_message_ =
      seal(MessageType::kSurvivors, encode_survivors({.survivors = survivors_.bytes()}));
  enter(setup_.config.mode == Mode::kStrict ? ServerPhase::kConfirming : ServerPhase::kUnmasking,
        now_ms);
}

// R3, strict mode.

Result<void> Server::on_confirm(std::uint32_t index, const Bytes& body) {
  INK_TRY(const Confirm message, decode_confirm(body));
  if (!survivors_.contains(index)) {
    return fail(ErrorCode::kProtocol, "confirm: the client dropped out before");
  }
  if (!signature_holds(roster_.member(index).identity_key,
                       survivors_statement(ctx_, survivors_.bytes()), message.signature)) {
    return fail(ErrorCode::kVerification, "confirm: it does not sign this survivor set");
  }
  confirmations_.push_back({.client = index, .signature = message.signature});
  confirmed_.insert(index);
  return {};
}

// Only clients that will find enough of their holders among the signers are asked to unmask, and
// they have to be enough for every secret.
void Server::close_confirming(std::int64_t now_ms) {
  const auto status = check_cohort(confirmed_.count());
  if (!status) return abort(RoundCode::kTooFewClients, status.error().message);
  for (std::uint32_t i = 0; i < roster_.size(); ++i) {
    const bool willing = roster_.holders_in(i, confirmed_) >= roster_.threshold();
    if (!confirmed_.contains(i) || !willing) asked_.erase(i);
  }
  const auto enough = check_holders(asked_);
  if (!enough) return abort(RoundCode::kUnrecoverable, enough.error().message);
  confirmations_message_ =
      seal(MessageType::kConfirmations, encode_confirmations({.signatures = confirmations_}));
  enter(ServerPhase::kUnmasking, now_ms);
}

// R4.

Result<void> Server::on_unmask(std::uint32_t index, const Bytes& body) {
  INK_TRY(const Unmask message, decode_unmask(body));
  if (!asked_.contains(index)) {
    return fail(ErrorCode::kProtocol, "unmask: the client dropped out before");
  }
  std::vector<std::uint32_t> owners = roster_.graph().holders(index);
  std::erase_if(owners, [&](std::uint32_t v) { return !present_.contains(v); });
  const auto fits = [&](const ReleasedShare& share, std::uint32_t owner) {
    return share.owner == owner &&
           (share.kind == ShareKind::kSelfMask) == survivors_.contains(owner);
  };
  if (!std::equal(message.shares.begin(), message.shares.end(), owners.begin(), owners.end(),
                  fits)) {
    return fail(ErrorCode::kProtocol, "unmask: ", message.shares.size(),
                " shares that are not the one asked for of each of ", owners.size(), " clients");
  }
  for (const ReleasedShare& share : message.shares) INK_CHECK_OK(check_share(share.share));
  for (const ReleasedShare& share : message.shares) {
    const auto position = roster_.graph().holder_position(share.owner, index);
    INK_INVARIANT(position.has_value());
    given_[share.owner].push_back({.holder = index, .x = *position + 1, .share = share.share});
  }
  unmasked_.insert(index);
  return {};
}

bool Server::can_close() const {
  if (phase_ == ServerPhase::kMasking)
    return check_cohort(survivors_.count()) && check_holders(survivors_);
  if (phase_ != ServerPhase::kUnmasking) return false;
  const auto owners = owners_to_join();
  return std::all_of(owners.begin(), owners.end(), [&](std::uint32_t owner) {
    return given_[owner].size() >= roster_.threshold();
  });
}

void Server::blame(const std::vector<std::uint32_t>& liars) {
  for (const std::uint32_t liar : liars) {
    const ClientId& id = roster_.member(liar).id;
    auto& all = outcome_.liars;
    if (std::find(all.begin(), all.end(), id) == all.end()) all.push_back(id);
  }
}

Result<Mask> Server::self_mask(std::uint32_t owner, ShareJoiner& joiner) {
  const Hash& commitment = roster_.member(owner).commitment;
  INK_TRY(const JoinedSecret joined,
          joiner.join(given_[owner], roster_.threshold(), [&](const Secret<32>& seed) {
            return seed_commitment(ctx_, seed) == commitment;
          }));
  blame(joined.liars);
  return Mask{.key = self_mask_key(setup_.config.suite, joined.secret, ctx_, owner),
              .sign = Sign::kSubtract};
}

Result<std::vector<Mask>> Server::pair_masks(std::uint32_t owner, ShareJoiner& joiner) {
  INK_TRY(JoinedSecret joined,
          joiner.join(given_[owner], roster_.threshold(), [&](const Secret<32>& secret) {
            return AgreementKey::from_secret(Secret<32>::copy_of(secret.reveal())).public_key() ==
                   roster_.member(owner).s_pk;
          }));
  blame(joined.liars);
  const AgreementKey key = AgreementKey::from_secret(std::move(joined.secret));
  std::vector<Mask> masks;
  for (const std::uint32_t peer : roster_.graph().neighbours(owner)) {
    if (!survivors_.contains(peer)) continue;
    INK_TRY(const Secret<32> shared, key.agree(roster_.member(peer).s_pk));
    // The survivor added the mask if its index is the lower one.
    masks.push_back({.key = pair_mask_key(setup_.config.suite, shared, ctx_, peer, owner),
                     .sign = peer < owner ? Sign::kSubtract : Sign::kAdd});
  }
  return masks;
}

// Takes every mask out of the sum that did not cancel: the survivors' own in one pass, and those
// that survivors share with a lost client in one pass for each of these.
Result<void> Server::unmask() {
  ShareJoiner joiner;
  std::vector<Mask> self_masks;
  for (const std::uint32_t owner : owners_to_join()) {
    const auto within = [&](const Error& error) {
      return fail_within(error, "secret of client ", to_hex(roster_.member(owner).id));
    };
    if (survivors_.contains(owner)) {
      auto mask = self_mask(owner, joiner);
      if (!mask) return within(mask.error());
      self_masks.push_back(*std::move(mask));
    } else {
      const auto masks = pair_masks(owner, joiner);
      if (!masks) return within(masks.error());
      sum_->apply_masks(*masks);
    }
  }
  sum_->apply_masks(self_masks);
  return {};
}

void Server::close_unmasking(std::int64_t now_ms) {
  const auto status = unmask();
  if (!status) return abort(RoundCode::kUnrecoverable, status.error().message);
  outcome_.sum = sum_->values();
  const std::uint64_t count = outcome_.sum.back();
  outcome_.sum.pop_back();
  if (count != survivors_.count()) {
    return abort(RoundCode::kCountMismatch,
                 concat("the sum counts ", count, " clients, expected ", survivors_.count()));
  }
  outcome_.survivors = survivors_.count();
  given_.clear();
  sum_.reset();
  enter(ServerPhase::kDone, now_ms);
}

}  // namespace inkling::secagg
