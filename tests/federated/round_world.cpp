#include "tests/federated/round_world.h"

#include <gtest/gtest.h>

namespace inkling::secagg {

SigningKey signing_key(std::uint64_t seed, std::string_view purpose) {
  ByteWriter out;
  out.u64(seed);
  out.text(purpose);
  return SigningKey::from_seed(Secret<32>::copy_of(hash_of({out.bytes()})));
}

ClientId client_id(std::size_t index) {
  ClientId id{};
  id[0] = static_cast<std::uint8_t>(index >> 8);
  id[1] = static_cast<std::uint8_t>(index);
  return id;
}

Config small_config(std::uint32_t n) {
  Config config;
  config.n_min = n;
  config.n_max = n;
  config.ring_bits = 24;
  config.dimension = 3;
  config.metrics = 1;
  return config;
}

namespace {

RoundIdentity identity_for(std::uint64_t seed) {
  RoundIdentity id{.task = {1}, .attempt = {.round = 7, .attempt = 1}};
  id.plan_hash = hash_of({as_bytes("plan")});
  id.model_hash = hash_of({as_bytes("model")});
  id.server_nonce[0] = static_cast<std::uint8_t>(seed);
  return id;
}

std::vector<TestEntropy> entropies(std::uint64_t seed, std::size_t count) {
  std::vector<TestEntropy> out;
  for (std::size_t i = 0; i < count; ++i) out.emplace_back(seed, i);
  return out;
}

}  // namespace

World::World(const Config& round_config, std::size_t count, std::uint64_t world_seed)
    : config(round_config),
      seed(world_seed),
      round(identity_for(world_seed)),
      authority(signing_key(0, "authority").public_key()),
      entropy(entropies(world_seed, count)),
      server(Server::create(server_setup(), kNow).value()),
      last_answer(count) {
  Rng rng(seed, "inputs");
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(make_client(i));
    auto& input = inputs.emplace_back(config.input_length());
    for (auto& v : input) v = rng.next_u64() & config.ring_mask();
  }
}

Identity World::identity_of(std::size_t index) const {
  SigningKey key = signing_key(index, "client");
  const Certificate certificate = issue_certificate(signing_key(0, "authority"), Role::kClient,
                                                    client_id(index), key.public_key(), kExpiry);
  return {.certificate = certificate, .key = std::move(key)};
}

ServerSetup World::server_setup() const {
  SigningKey key = signing_key(0, "server");
  const Certificate certificate =
      issue_certificate(signing_key(0, "authority"), Role::kServer, {9}, key.public_key(), kExpiry);
  return {.config = config,
          .identity = round,
          .server = {.certificate = certificate, .key = std::move(key)},
          .authority = authority};
}

Client World::make_client(std::size_t index) const {
  const ClientTask task{.task = round.task,
                        .plan_hash = round.plan_hash,
                        .model_hash = round.model_hash,
                        .last = {.round = 6, .attempt = 9}};
  return Client::create(task, identity_of(index), authority, Policy{}, entropy[index]);
}

Result<Bytes> World::exchange(std::size_t index) {
  Client& client = clients[index];
  INK_TRY(const Bytes message, server.outgoing(client_id(index)));
  const bool offer = client.phase() == ClientPhase::kIdle;
  INK_TRY(Reply reply, client.receive(message, kNow));
  if (offer) {
    INK_TRY(const Reply accepted, client.set_input(inputs[index]));
    EXPECT_TRUE(accepted.to_send.empty());
  }
  if (reply.to_send.empty()) return Bytes();
  last_answer[index] = reply.to_send;
  const Envelope envelope = open_envelope(reply.to_send).value();
  if (envelope.type == MessageType::kUnmask) {
    unmasks.push_back(decode_unmask(envelope.body).value());
  }
  INK_TRY(Receipt receipt, server.receive(client_id(index), reply.to_send, kNow));
  if (!receipt.duplicate) journal.push_back(std::move(receipt.record));
  return reply.to_send;
}

void World::run_phase() {
  run_phase([](std::size_t) { return true; });
}

void World::run_phase(const std::function<bool(std::size_t)>& takes_part) {
  const ServerPhase phase = server.phase();
  for (std::size_t i = 0; i < clients.size() && server.phase() == phase; ++i) {
    if (!takes_part(i) || !server.outgoing(client_id(i))) continue;
    const auto sent = exchange(i);
    EXPECT_TRUE(sent) << "client " << i << ": " << sent.error().message;
  }
  if (server.phase() == phase) journal.push_back(server.close_phase(kNow));
}

void World::run_until(ServerPhase phase) {
  while (server.phase() < phase) run_phase();
}

std::vector<std::uint64_t> World::expected_sum(
    const std::function<bool(std::size_t)>& counts) const {
  std::vector<std::uint64_t> sum(config.input_length());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!counts(i)) continue;
    for (std::size_t j = 0; j < sum.size(); ++j) {
      sum[j] = (sum[j] + inputs[i][j]) & config.ring_mask();
    }
  }
  return sum;
}

}  // namespace inkling::secagg
