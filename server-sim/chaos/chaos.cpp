#include "server-sim/chaos/chaos.h"

#include <mutex>

#include "runtime/base/thread_pool.h"
#include "server-sim/chaos/world.h"

namespace inkling {

ChaosCounts& ChaosCounts::operator+=(const ChaosCounts& other) {
  exchanges += other.exchanges;
  lost += other.lost;
  duplicated += other.duplicated;
  delayed += other.delayed;
  corrupted += other.corrupted;
  lies += other.lies;
  partitions += other.partitions;
  device_crashes += other.device_crashes;
  server_crashes += other.server_crashes;
  cancels += other.cancels;
  rounds += other.rounds;
  aborted_attempts += other.aborted_attempts;
  return *this;
}

Result<ChaosRun> run_chaos(std::uint64_t seed, const Path& folder, bool keeps_trace) {
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  auto run = [&]() -> Result<ChaosRun> {
    INK_TRY(const auto world, ChaosWorld::create(seed, folder, keeps_trace));
    return world->run();
  }();
  std::filesystem::remove_all(folder, ignored);
  return run;
}

Result<ChaosCounts> run_chaos(const ChaosSpec& spec,
                              const std::function<void(const ChaosRun&)>& on_run) {
  if (spec.last < spec.first)
    return fail(ErrorCode::kInvalidArgument, "chaos: seeds ", spec.first, "..", spec.last);
  ThreadPool pool(spec.threads);
  std::mutex mutex;
  ChaosCounts counts;
  Result<void> status;
  const auto seeds = static_cast<std::size_t>(spec.last - spec.first + 1);
  pool.parallel_for(seeds, 1, [&](std::size_t begin, std::size_t end, unsigned) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::uint64_t seed = spec.first + i;
      const auto run = run_chaos(seed, spec.folder / concat("seed", seed));
      const std::lock_guard lock(mutex);
      if (!run) {
        status = fail_within(run.error(), "chaos seed ", seed);
        continue;
      }
      counts += run->counts;
      on_run(*run);
    }
  });
  INK_CHECK_OK(status);
  return counts;
}

}  // namespace inkling
