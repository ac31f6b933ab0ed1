#include "server-sim/simulation/masked_group.h"

#include "federated/enrolment.h"
#include "federated/secagg/client.h"
#include "server-sim/secagg/secagg_server.h"

namespace inkling {

namespace {

// The machines are told a time, and never ask for it.
constexpr std::int64_t kNowMs = 1'700'000'000'000, kExpiryMs = kNowMs + 86'400'000;

secagg::ClientId seat_id(std::size_t seat) {
  ByteWriter writer;
  writer.u64(seat);
  secagg::ClientId id{};
  std::copy(writer.bytes().begin(), writer.bytes().end(), id.begin());
  return id;
}

class Group {
 public:
  static Result<Group> create(const MaskedGroup& spec, secagg::EntropySource& entropy) {
    secagg::Secret<32> seed;
    INK_CHECK_OK(entropy.fill(seed.writable()));
    const auto authority = secagg::SigningKey::from_seed(std::move(seed));
    INK_TRY(auto server_identity,
            federated::enrol(authority, secagg::Role::kServer, {0xff}, kExpiryMs, entropy));
    INK_TRY(auto server, secagg::Server::create({.config = spec.config,
                                                 .identity = spec.identity,
                                                 .server = std::move(server_identity),
                                                 .authority = authority.public_key()},
                                                kNowMs));
    Group group(std::move(server));
    const secagg::ClientTask task{.task = spec.identity.task,
                                  .plan_hash = spec.identity.plan_hash,
                                  .model_hash = spec.identity.model_hash,
                                  .last = {}};
    for (std::size_t i = 0; i < spec.reporting + spec.lost; ++i) {
      INK_TRY(auto identity,
              federated::enrol(authority, secagg::Role::kClient, seat_id(i), kExpiryMs, entropy));
      group.clients_.push_back(
          secagg::Client::create(task, std::move(identity), authority.public_key(), {}, entropy));
    }
    return group;
  }

  // The clients [0, count) get what the server has for them and answer; the phase ends.
  Result<void> play_phase(std::size_t count, const GroupInput& input) {
    const secagg::ServerPhase phase = server_.phase();
    for (std::size_t i = 0; i < count && server_.phase() == phase; ++i) {
      INK_TRY(const Bytes message, server_.outgoing(seat_id(i)));
      INK_TRY(secagg::Reply reply, clients_[i].receive(message, kNowMs));
      if (clients_[i].phase() == secagg::ClientPhase::kReady) {
        INK_TRY(const auto values, input(i));
        INK_TRY(reply, clients_[i].set_input(values));
      }
      if (reply.to_send.empty()) continue;
      INK_CHECK_OK(server_.receive(seat_id(i), reply.to_send, kNowMs));
    }
    if (server_.phase() == phase) server_.close_phase(kNowMs);
    return {};
  }

  const secagg::Server& server() const { return server_; }

 private:
  explicit Group(secagg::Server server) : server_(std::move(server)) {}
  secagg::Server server_;
  std::vector<secagg::Client> clients_;
};

}  // namespace

Result<std::vector<std::uint64_t>> sum_masked(const MaskedGroup& spec, const GroupInput& input,
                                              secagg::EntropySource& entropy) {
  INK_TRY(Group group, Group::create(spec, entropy));
  while (group.server().phase() < secagg::ServerPhase::kDone) {
    const bool keys = group.server().phase() < secagg::ServerPhase::kMasking;
    INK_CHECK_OK(group.play_phase(spec.reporting + (keys ? spec.lost : 0), input));
  }
  const secagg::RoundOutcome& outcome = group.server().outcome();
  if (group.server().phase() == secagg::ServerPhase::kDone) return outcome.sum;
  return fail(ErrorCode::kProtocol, "masked group of ", spec.reporting, " clients and ", spec.lost,
              " lost ones: ", outcome.reason);
}

}  // namespace inkling
