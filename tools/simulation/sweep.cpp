#include "tools/simulation/sweep.h"

#include <algorithm>
#include <mutex>
#include <thread>

namespace inkling::tools {

namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    parts.emplace_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

}  // namespace

Result<std::vector<Variant>> expand_sweep(std::span<const std::string> sweeps) {
  std::vector<Variant> variants = {{}};
  for (const std::string& sweep : sweeps) {
    const std::size_t equals = sweep.find('=');
    if (equals == 0 || equals == sweep.npos || equals + 1 == sweep.size())
      return fail(ErrorCode::kInvalidArgument, "--sweep ", sweep, ": expected KEY=A,B,...");
    const std::string key = sweep.substr(0, equals);
    const std::string last_part = key.substr(key.rfind('.') + 1);
    const std::vector<std::string> values = split(std::string_view(sweep).substr(equals + 1));
    if (variants.size() * values.size() > kVariantsMax)
      return fail(ErrorCode::kInvalidArgument, "--sweep: more than ", kVariantsMax, " runs");
    std::vector<Variant> next;
    for (const Variant& variant : variants) {
      for (const std::string& value : values) {
        Variant extended = variant;
        extended.name += concat(variant.name.empty() ? "" : ",", last_part, "=", value);
        extended.settings.push_back(concat(key, "=", value));
        next.push_back(std::move(extended));
      }
    }
    variants = std::move(next);
  }
  return variants;
}

Result<void> run_in_parallel(std::size_t count, unsigned jobs,
                             const std::function<Result<void>(std::size_t)>& run) {
  std::mutex mutex;  // of what follows
  std::size_t next = 0;
  Result<void> outcome;
  const auto work = [&] {
    for (;;) {
      std::unique_lock lock(mutex);
      if (next == count || !outcome) return;
      const std::size_t i = next++;
      lock.unlock();
      auto result = run(i);
      lock.lock();
      if (!result && outcome) outcome = std::move(result);
    }
  };
  {
    std::vector<std::jthread> crew;
    for (std::size_t j = 1; j < std::min<std::size_t>(jobs, count); ++j) crew.emplace_back(work);
    work();
  }
  return outcome;
}

}  // namespace inkling::tools
