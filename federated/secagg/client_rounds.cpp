// Client's transitions, one per message of the server, in protocol order.

#include <algorithm>

#include "federated/secagg/client.h"
#include "federated/secagg/client_work.h"
#include "federated/secagg/schedule.h"

namespace inkling::secagg {

// P0 Offer -> R0 Advertise.

Result<void> Client::check_policy(const Offer& offer, const Config& config) const {
  const RoundIdentity& id = offer.identity;
  if (id.task != task_.task || id.plan_hash != task_.plan_hash) {
    return fail(ErrorCode::kProtocol, "offer: of another task or plan than this device has");
  }
  if (id.model_hash != task_.model_hash) {
    return fail(ErrorCode::kProtocol, "offer: of model ", to_hex(id.model_hash),
                ", this device has ", to_hex(task_.model_hash));
  }
  if (config.n_min < policy_.n_min) {
    return fail(ErrorCode::kProtocol, "offer: n_min ", config.n_min, " is below the floor ",
                policy_.n_min);
  }
  if (config.gamma_ppm < policy_.gamma_ppm_min || config.mode < policy_.weakest_mode) {
    return fail(ErrorCode::kProtocol, "offer: gamma ", config.gamma_ppm, " ppm in mode ",
                int(config.mode), " is weaker than the floor ", policy_.gamma_ppm_min,
                " ppm in mode ", int(policy_.weakest_mode));
  }
  return {};
}

// Also on restoring, so the checks hold for what is read back, too.
Result<void> Client::adopt_offer(const Offer& offer) {
  INK_TRY(const Config config, decode_config(offer.config));
  INK_CHECK_OK(check_policy(offer, config));
  config_ = config;
  attempt_ = offer.identity.attempt;
  server_key_ = offer.server.key;
  ctx_ = context_of(offer.identity, offer.config);
  return {};
}

Result<Bytes> Client::on_offer(const Envelope& envelope, std::int64_t now_ms) {
  INK_TRY(const Offer offer, decode_offer(envelope.body));
  INK_CHECK_OK(check_certificate(offer.server, Role::kServer, authority_, now_ms));
  INK_CHECK_OK(check_signature(envelope, offer.server.key));
  if (envelope.ctx != context_of(offer.identity, offer.config)) {
    return fail(ErrorCode::kProtocol, "offer: its context is not that of its own fields");
  }
  const Attempt attempt = offer.identity.attempt;
  if (attempt <= task_.last) {
    return fail(ErrorCode::kProtocol, "offer: round ", attempt.round, " attempt ", attempt.attempt,
                " is not after round ", task_.last.round, " attempt ", task_.last.attempt);
  }
  INK_TRY(const AgreementKey c, AgreementKey::generate(*entropy_));
  INK_TRY(const AgreementKey s, AgreementKey::generate(*entropy_));
  Secret<32> seed;
  INK_CHECK_OK(entropy_->fill(seed.writable()));
  INK_CHECK_OK(adopt_offer(offer));
  state_.offer = envelope.body;
  state_.c_secret = Secret<32>::copy_of(c.secret().reveal());
  state_.s_secret = Secret<32>::copy_of(s.secret().reveal());
  state_.seed = std::move(seed);
  state_.phase = ClientPhase::kAdvertised;
  return seal(MessageType::kAdvertise,
              encode_advertise({.certificate = identity_.certificate,
                                .c_pk = c.public_key(),
                                .s_pk = s.public_key(),
                                .commitment = seed_commitment(ctx_, state_.seed)}));
}

// R1 Roster -> Shares.

Result<Roster> Client::read_roster(const RosterMessage& message) const {
  return Roster::read(message, ctx_, *config_);
}

Result<void> Client::adopt_roster(Roster roster) {
  const auto own = roster.index_of(identity_.certificate.id);
  if (!own) return fail(ErrorCode::kProtocol, "roster: this client is not in it");
  index_ = *own;
  roster_ = std::move(roster);
  return {};
}

Result<Bytes> Client::on_roster(const Bytes& body, std::int64_t now_ms) {
  INK_TRY(const RosterMessage message, decode_roster(body));
  INK_TRY(Roster roster, read_roster(message));
  INK_CHECK_OK(check_roster_signatures(message, ctx_, authority_, now_ms));
  INK_CHECK_OK(adopt_roster(std::move(roster)));
  const Member& self = roster_.member(index_);
  if (self.identity_key != identity_.key.public_key() ||
      self.commitment != seed_commitment(ctx_, state_.seed)) {
    return fail(ErrorCode::kProtocol, "roster: this client's own row is not what it sent");
  }
  INK_TRY(Bytes shares, make_shares());
  state_.roster = body;
  state_.phase = ClientPhase::kShared;
  return shares;
}

Result<Bytes> Client::make_shares() {
  const auto c = AgreementKey::from_secret(Secret<32>::copy_of(state_.c_secret.reveal()));
  INK_TRY(Dealt dealt, deal_shares({.roster = roster_, .ctx = ctx_, .index = index_}, c,
                                   state_.seed, state_.s_secret, *entropy_));
  state_.held.push_back({.owner = index_, .pair = std::move(dealt.own)});
  return seal(MessageType::kShares, encode_shares({.boxes = std::move(dealt.boxes)}));
}

// R2 Inbox -> Masked.

Result<Bytes> Client::on_inbox(const Bytes& body) {
  INK_TRY(const Inbox inbox, decode_inbox(body));
  INK_TRY(const ClientSet present, ClientSet::from_bytes(inbox.present, roster_.size()));
  if (present.count() < config_->n_min || !present.contains(index_) ||
      roster_.holders_in(index_, present) < roster_.threshold()) {
    return fail(ErrorCode::kProtocol, "inbox: ", present.count(), " clients shared, ",
                roster_.holders_in(index_, present), " of them holders; expected this client, ",
                config_->n_min, " in all and ", roster_.threshold(), " holders");
  }
  std::vector<std::uint32_t> senders = roster_.graph().neighbours(index_);
  std::erase_if(senders, [&](std::uint32_t v) { return !present.contains(v); });
  const bool matches =
      std::equal(senders.begin(), senders.end(), inbox.boxes.begin(), inbox.boxes.end(),
                 [](std::uint32_t v, const SealedShare& box) { return v == box.peer; });
  if (!matches) {
    return fail(ErrorCode::kProtocol, "inbox: ", inbox.boxes.size(),
                " boxes that are not one from each of the ", senders.size(), " neighbours present");
  }
  const auto c = AgreementKey::from_secret(Secret<32>::copy_of(state_.c_secret.reveal()));
  for (const SealedShare& box : inbox.boxes) {
    INK_TRY(const Secret<32> shared, c.agree(roster_.member(box.peer).c_pk));
    const BoxAddress address{
        .ctx = ctx_, .roster_hash = roster_.hash(), .from = box.peer, .to = index_};
    auto pair = open_share_pair(shared, address, box);
    if (!pair) return fail_within(pair.error(), "inbox: from client ", box.peer);
    state_.held.push_back({.owner = box.peer, .pair = *std::move(pair)});
  }
  state_.present = present;
  state_.phase = ClientPhase::kReady;
  if (!input_) return Bytes();
  return make_masked();
}

Result<Bytes> Client::make_masked() {
  const auto s = AgreementKey::from_secret(Secret<32>::copy_of(state_.s_secret.reveal()));
  INK_TRY(const auto masks, masks_of({.roster = roster_, .ctx = ctx_, .index = index_},
                                     config_->suite, state_.present, s, state_.seed));
  const Bytes packed = input_->pack_masked(masks);
  input_.reset();
  state_.phase = ClientPhase::kMasked;
  return seal(MessageType::kMasked, encode_masked({.digest = hash_of({packed})}), packed);
}

// R3 Survivors -> Unmask, or Confirm in strict mode.

Result<Bytes> Client::on_survivors(const Bytes& body) {
  INK_TRY(const Survivors message, decode_survivors(body));
  INK_TRY(const ClientSet survivors, ClientSet::from_bytes(message.survivors, roster_.size()));
  if (!survivors.subset_of(state_.present) || !survivors.contains(index_)) {
    return fail(ErrorCode::kProtocol, "survivors: without this client, or with one that is not in ",
                "the inbox's set");
  }
  const std::uint32_t holders = roster_.holders_in(index_, survivors);
  if (survivors.count() < config_->n_min || holders < roster_.threshold()) {
    return fail(ErrorCode::kProtocol, "survivors: ", survivors.count(), " clients, ", holders,
                " of them holders; expected ", config_->n_min, " in all and ", roster_.threshold(),
                " holders");
  }
  state_.survivors = survivors;
  if (config_->mode != Mode::kStrict) return make_unmask();
  state_.phase = ClientPhase::kConfirmed;
  const Signature signature = identity_.key.sign(survivors_statement(ctx_, survivors.bytes()));
  return seal(MessageType::kConfirm, encode_confirm({.signature = signature}));
}

Result<Bytes> Client::on_confirmations(const Bytes& body) {
  INK_TRY(const Confirmations message, decode_confirmations(body));
  const Bytes statement = survivors_statement(ctx_, state_.survivors.bytes());
  ClientSet signers(roster_.size());
  for (const Confirmation& confirmation : message.signatures) {
    const std::uint32_t signer = confirmation.client;
    if (!state_.survivors.contains(signer) || signers.contains(signer)) {
      return fail(ErrorCode::kProtocol, "confirmations: client ", signer,
                  " is no survivor, or appears twice");
    }
    if (!signature_holds(roster_.member(signer).identity_key, statement, confirmation.signature)) {
      return fail(ErrorCode::kVerification, "confirmations: client ", signer,
                  " did not sign this survivor set");
    }
    signers.insert(signer);
  }
  const std::uint32_t holders = roster_.holders_in(index_, signers);
  if (signers.count() < config_->n_min || holders < roster_.threshold()) {
    return fail(ErrorCode::kProtocol, "confirmations: ", signers.count(), " signatures, ", holders,
                " of holders; expected ", config_->n_min, " and ", roster_.threshold());
  }
  return make_unmask();
}

// R4: for every client whose shares it holds exactly one of the two, chosen by the survivor set;
// what it held is forgotten with the answer.
Bytes Client::make_unmask() {
  std::sort(state_.held.begin(), state_.held.end(),
            [](const HeldShare& a, const HeldShare& b) { return a.owner < b.owner; });
  Unmask message;
  for (const HeldShare& held : state_.held) {
    const ShareKind kind =
        state_.survivors.contains(held.owner) ? ShareKind::kSelfMask : ShareKind::kPairKey;
    const auto share = share_of_kind(held.pair, kind);
    ReleasedShare& released = message.shares.emplace_back();
    released.owner = held.owner;
    released.kind = kind;
    std::copy(share.begin(), share.end(), released.share.begin());
  }
  state_.forget_secrets();
  state_.phase = ClientPhase::kUnmasked;
  return seal(MessageType::kUnmask, encode_unmask(message));
}

// R5 Result.

Result<Bytes> Client::on_result(const Bytes& body) {
  INK_TRY(state_.result, decode_result(body));
  abort();  // whatever is left of the round is forgotten
  state_.phase = ClientPhase::kDone;
  return Bytes();
}

}  // namespace inkling::secagg
