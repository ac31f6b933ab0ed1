// A malicious server: any body, truly signed, at a client in any phase. The first byte chooses the
// phase, the second the message type.

#include "tests/federated/round_world.h"

namespace {

using namespace inkling::secagg;

struct Scene {
  Scene() : world(config(), 3) {
    for (int phase = 0; phase < 4; ++phase) {
      records.push_back(world.clients[0].save());
      world.run_phase();
    }
    records.push_back(world.clients[0].save());
  }
  static Config config() {
    Config strict = small_config(3);
    strict.mode = Mode::kStrict;
    return strict;
  }
  World world;
  std::vector<SecretBytes> records;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Scene scene;
  static const SigningKey server_key = signing_key(0, "server");
  if (size < 2) return 0;
  const ClientTask task{.task = scene.world.round.task,
                        .plan_hash = scene.world.round.plan_hash,
                        .model_hash = scene.world.round.model_hash,
                        .last = {}};
  TestEntropy entropy(1);
  Client client =
      Client::restore(scene.records[data[0] % scene.records.size()], task,
                      scene.world.identity_of(0), scene.world.authority, Policy{}, entropy)
          .value();
  const auto type = static_cast<MessageType>(1 + data[1] % 11);
  const inkling::Bytes message =
      seal_envelope(type, scene.world.server.context(), {data + 2, data + size}, {}, server_key);
  if (const auto reply = client.receive(message, kNow)) {
    INK_INVARIANT(decode_state(reply->record).has_value());
  }
  return 0;
}
