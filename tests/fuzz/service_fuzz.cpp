// Any request at the service: the first byte chooses the method, the text up to the first NUL is
// the path, the rest is the body. A device that joins is among them.

#include <unistd.h>

#include "server-sim/coordinator/service.h"
#include "tests/server_sim/task_world.h"

namespace {

using namespace inkling;

struct Scene {
  Scene() : folder(std::filesystem::temp_directory_path() / concat("service_fuzz_", ::getpid())) {
    TaskWorld world(folder, 4);
    world.join(0).value();
    service =
        std::make_unique<Service>(*std::move(world.coordinator), clock, "a token for fuzzing");
  }
  ~Scene() {
    service.reset();
    std::filesystem::remove_all(folder);
  }
  Path folder;
  VirtualClock clock{1'700'000'000'000};
  std::unique_ptr<Service> service;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Scene scene;
  if (size == 0) return 0;
  constexpr const char* kMethods[] = {"GET", "POST", "HEAD"};
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string_view path = text.substr(0, text.find('\0'));
  const ByteSpan body = as_bytes(text.substr(std::min(path.size() + 1, text.size())));
  const HttpResponse response = scene.service->handle({.method = kMethods[data[0] % 3],
                                                       .path = concat("/", path),
                                                       .query = "",
                                                       .body = Bytes(body.begin(), body.end()),
                                                       .peer = "fuzz"});
  INK_INVARIANT(response.status >= 200 && response.status < 500);
  return 0;
}
