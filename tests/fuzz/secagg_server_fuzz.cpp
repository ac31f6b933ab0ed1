// A malicious client: any body and raw section, truly signed, at a server in any phase. The first
// byte chooses the phase, the second the message type, the third the length of the raw section.

#include "tests/federated/round_world.h"

namespace {

using namespace inkling::secagg;

constexpr std::size_t kClients = 3;
constexpr std::size_t kPhases = 4;

// The journal of an honest round. A fresh server replays it, for every input, up to where the last
// client's answer of some phase would come.
struct Scene {
  Scene() : world(small_config(kClients), kClients) {
    world.run_until(ServerPhase::kDone);
    INK_INVARIANT(world.journal.size() == kPhases * kClients);
  }
  World world;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Scene scene;
  static const SigningKey client_key = signing_key(2, "client");
  if (size < 3) return 0;
  Server server = Server::create(scene.world.server_setup(), kNow).value();
  const std::size_t records = data[0] % kPhases * kClients + kClients - 1;
  for (std::size_t i = 0; i < records; ++i) {
    INK_INVARIANT(server.replay(scene.world.journal[i]).has_value());
  }
  const auto type = static_cast<MessageType>(1 + data[1] % 11);
  const inkling::ByteSpan rest(data + 3, size - 3);
  const std::size_t raw = std::min<std::size_t>(data[2], rest.size());
  const inkling::ByteSpan body = rest.first(rest.size() - raw);
  const inkling::Bytes message =
      seal_envelope(type, server.context(), {body.begin(), body.end()}, rest.last(raw), client_key);
  if (const auto receipt = server.receive(client_id(2), message, kNow)) {
    INK_INVARIANT(receipt->duplicate || !receipt->record.empty());
  }
  return 0;
}
