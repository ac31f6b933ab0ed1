#include "tools/simulation/chaos.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <thread>

#include "server-sim/chaos/chaos.h"

namespace inkling::tools {

namespace {

struct SeedRange {
  std::uint64_t first = 0, last = 0;
};

Result<SeedRange> parse_seeds(std::string_view text) {
  SeedRange range;
  const auto wrong = [&] {
    return fail(ErrorCode::kInvalidArgument, "--seeds ", text, ": expected FIRST..LAST");
  };
  const std::size_t dots = text.find("..");
  if (dots == text.npos) return wrong();
  const auto read = [](std::string_view part, std::uint64_t& value) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    return error == std::errc() && end == part.data() + part.size();
  };
  if (!read(text.substr(0, dots), range.first) || !read(text.substr(dots + 2), range.last) ||
      range.last < range.first) {
    return wrong();
  }
  return range;
}

// A folder for files that live as long as one seed: in memory where the system has such a place.
Path scratch_folder() {
  const Path memory = "/dev/shm";
  const bool in_memory = ::access(memory.c_str(), W_OK) == 0;
  return (in_memory ? memory : std::filesystem::temp_directory_path()) /
         concat("inkling_chaos_", ::getpid());
}

void print_violations(const ChaosRun& run, std::ostream& out) {
  for (const std::string& violation : run.violations)
    out << "seed " << run.seed << ": " << violation << "\n";
  out << "replay: inkling simulate --chaos --seeds " << run.seed << ".." << run.seed << std::endl;
}

Result<void> replay(std::uint64_t seed, const Path& folder, std::ostream& out) {
  INK_TRY(const ChaosRun run, run_chaos(seed, folder, true));
  for (const std::string& line : run.trace) out << line;
  if (run.violations.empty()) {
    out << "seed " << seed << ": no invariant broke, digest " << to_hex(run.digest) << std::endl;
    return {};
  }
  return fail(ErrorCode::kVerification, "chaos seed ", seed, ": ", run.violations.front());
}

void print_counts(const ChaosCounts& c, std::ostream& out) {
  out << c.rounds << " rounds done, " << c.aborted_attempts << " attempts aborted; " << c.exchanges
      << " exchanges: " << c.lost << " lost, " << c.delayed << " late, " << c.duplicated
      << " doubled, " << c.corrupted << " corrupted, " << c.lies << " lies; " << c.partitions
      << " partitions, " << c.device_crashes << " device and " << c.server_crashes
      << " server crashes, " << c.cancels << " cancelled" << std::endl;
}

}  // namespace

Result<void> simulate_chaos(std::string_view seeds, Console& console) {
  INK_TRY(const SeedRange range, parse_seeds(seeds));
  const Path folder = scratch_folder();
  if (range.first == range.last) return replay(range.first, folder, console.out());
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t done = 0, broken = 0;
  const std::uint64_t total = range.last - range.first + 1;
  const auto counts =
      run_chaos({.first = range.first,
                 .last = range.last,
                 .threads = std::max(1u, std::thread::hardware_concurrency()),
                 .folder = folder},
                [&](const ChaosRun& run) {
                  ++done;
                  if (!run.violations.empty()) {
                    ++broken;
                    print_violations(run, console.out());
                  }
                  console.progress(concat("chaos: ", done, " of ", total, " seeds"));
                });
  console.progress("");
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  INK_CHECK_OK(counts);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  print_counts(*counts, console.out());
  console.out() << "chaos: " << total << " seeds in " << static_cast<int>(seconds) << " s, "
                << broken << " broke an invariant" << std::endl;
  if (broken == 0) return {};
  return fail(ErrorCode::kVerification, "chaos: ", broken, " of ", total,
              " seeds broke an invariant");
}

}  // namespace inkling::tools
