// Any bytes as the next record of a server's journal, after so many true ones as the first byte
// says. A disk that lies gets an error.

#include "tests/federated/round_world.h"

namespace {

using namespace inkling::secagg;

struct Scene {
  Scene() : world(small_config(3), 3) { world.run_until(ServerPhase::kDone); }
  World world;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Scene scene;
  if (size == 0) return 0;
  Server server = Server::create(scene.world.server_setup(), kNow).value();
  const std::size_t records = data[0] % (scene.world.journal.size() + 1);
  for (std::size_t i = 0; i < records; ++i)
    INK_INVARIANT(server.replay(scene.world.journal[i]).has_value());
  const ServerPhase before = server.phase();
  if (!server.replay({data + 1, size - 1})) INK_INVARIANT(server.phase() == before);
  return 0;
}
