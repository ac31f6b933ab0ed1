// The chaos test against code with one planted fault (plant.py): succeeds when a seed finds it.
//
//   planted_fault VIOLATION   how the invariant that must break is called (oracle.h)

#include <unistd.h>

#include <cstdio>

#include "server-sim/chaos/chaos.h"

int main(int argc, char** argv) {
  using namespace inkling;
  constexpr std::uint64_t kSeeds = 200;
  const std::string_view wanted = argc > 1 ? argv[1] : "";
  const Path folder =
      std::filesystem::temp_directory_path() / concat("inkling_planted_", ::getpid());
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto run = run_chaos(seed, folder);
    if (!run) {
      std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                  run.error().message.c_str());
      return 1;
    }
    if (run->violations.empty()) continue;
    const std::string& found = run->violations.front();
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), found.c_str());
    return found.starts_with(wanted) ? 0 : 1;
  }
  std::printf("no seed below %llu finds it\n", static_cast<unsigned long long>(kSeeds));
  return 1;
}
