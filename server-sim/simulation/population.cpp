#include "server-sim/simulation/population.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <unordered_set>
#include <utility>

#include "runtime/base/rng.h"

namespace inkling {

namespace {

constexpr double kDayS = 24 * 3600.0;
constexpr std::array<std::string_view, 5> kAttackNames = {"none", "label_flip", "sign_flip",
                                                          "scale", "noise"};
// Candidates that are looked at for each one wanted before a round makes do with those it has.
constexpr std::size_t kLooksPerSeat = 64;

Result<void> check_share(const char* name, double share) {
  if (share >= 0 && share <= 1) return {};
  return fail(ErrorCode::kInvalidArgument, "population: ", name, " ", share, ", expected 0 to 1");
}

Result<void> check_positive(const char* name, double value) {
  if (value > 0 && std::isfinite(value)) return {};
  return fail(ErrorCode::kInvalidArgument, "population: ", name, " ", value, ", expected above 0");
}

}  // namespace

Result<Attack> attack_from(std::string_view name) {
  const auto found = std::find(kAttackNames.begin(), kAttackNames.end(), name);
  if (found != kAttackNames.end()) return static_cast<Attack>(found - kAttackNames.begin());
  return fail(ErrorCode::kInvalidArgument, "attack '", name,
              "': expected none, label_flip, sign_flip, scale or noise");
}

std::uint64_t shuffled(std::uint64_t seed, std::uint64_t count, std::uint64_t place) {
  constexpr std::uint64_t kFeistelRounds = 6;
  unsigned half = 1;
  while (std::uint64_t{1} << (2 * half) < count) ++half;
  const std::uint64_t mask = (std::uint64_t{1} << half) - 1;
  do {
    std::uint64_t left = place >> half, right = place & mask;
    for (std::uint64_t r = 0; r < kFeistelRounds; ++r) {
      const std::uint64_t mixed = Rng(seed, "shuffled", r << 32 | right).below(mask + 1);
      left = std::exchange(right, left ^ mixed);
    }
    place = left << half | right;
  } while (place >= count);
  return place;
}

Result<Population> Population::create(std::uint64_t clients, std::uint64_t seed,
                                      const DeviceSpec& device, const AttackSpec& attack) {
  if (clients == 0) return fail(ErrorCode::kInvalidArgument, "population: no clients");
  INK_CHECK_OK(check_share("available", device.available));
  INK_CHECK_OK(check_share("drop", device.drop));
  INK_CHECK_OK(check_share("attack fraction", attack.fraction));
  INK_CHECK_OK(check_positive("available", device.available));
  INK_CHECK_OK(check_positive("examples_per_s", device.examples_per_s));
  INK_CHECK_OK(check_positive("bytes_per_s", device.bytes_per_s));
  return Population(clients, seed, device, attack);
}

bool Population::hostile(std::uint64_t client) const {
  return attack_.kind != Attack::kNone &&
         Rng(seed_, "device/hostile", client).uniform() < attack_.fraction;
}

// A device is available for one stretch of each day, that begins at an hour of its own.
bool Population::available(std::uint64_t client, double now_s) const {
  if (!device_.enabled || device_.available >= 1) return true;
  const double begin = Rng(seed_, "device/hour", client).uniform() * kDayS;
  return std::fmod(now_s - begin + kDayS, kDayS) < device_.available * kDayS;
}

std::vector<std::uint64_t> Population::invite(std::uint64_t round, double now_s,
                                              const CohortSpec& cohort) const {
  const double factor = device_.enabled ? std::max(cohort.over_selection, 1.0) : 1.0;
  const auto wanted = static_cast<std::size_t>(std::min(
      std::ceil(static_cast<double>(cohort.size) * factor), static_cast<double>(clients_)));
  std::vector<std::uint64_t> invited;
  invited.reserve(wanted);
  if (cohort.once) {
    const std::uint64_t first = (round - 1) * cohort.size;
    for (std::uint64_t i = first; i < std::min(first + cohort.size, clients_); ++i)
      invited.push_back(shuffled(seed_, clients_, i));
    return invited;
  }
  Rng rng(seed_, "cohort", round);
  // Without replacement, by rejection: its memory is the cohort's, not the population's.
  std::unordered_set<std::uint64_t> seen;
  const std::size_t looks_max = wanted * kLooksPerSeat;
  for (std::size_t look = 0; invited.size() < wanted && look < looks_max && seen.size() < clients_;
       ++look) {
    const std::uint64_t client = rng.below(clients_);
    if (seen.insert(client).second && available(client, now_s)) invited.push_back(client);
  }
  return invited;
}

DeviceTurn Population::turn_of(std::uint64_t number, std::uint64_t client, double examples,
                               const Workload& work) const {
  if (!device_.enabled) return {};
  Rng device(seed_, "device/speed", client);
  const double speed = device_.examples_per_s * std::exp(device_.speed_sigma * device.normal());
  const double down = device_.bytes_per_s * std::exp(device_.bandwidth_sigma * device.normal());
  const double up = device_.bytes_per_s * std::exp(device_.bandwidth_sigma * device.normal());
  Rng fate(seed_, concat("device/fate/", number), client);
  return {.seconds = static_cast<double>(work.bytes_down) / down +
                     examples * static_cast<double>(work.epochs) / speed +
                     static_cast<double>(work.bytes_up) / up,
          .is_lost = fate.uniform() < device_.drop};
}

std::optional<std::uint64_t> Population::invite_one(
    std::uint64_t number, double now_s,
    const std::function<bool(std::uint64_t client)>& is_busy) const {
  Rng rng(seed_, "cohort", number);
  const std::uint64_t looks_max = kLooksPerSeat * std::min<std::uint64_t>(clients_, kLooksPerSeat);
  for (std::uint64_t look = 0; look < looks_max; ++look) {
    const std::uint64_t client = rng.below(clients_);
    if (!is_busy(client) && available(client, now_s)) return client;
  }
  return std::nullopt;
}

CohortOutcome Population::outcome(std::uint64_t round, const CohortSpec& cohort,
                                  const Workload& work, std::vector<std::uint64_t> invited,
                                  const std::vector<double>& examples) const {
  CohortOutcome outcome;
  outcome.asked = invited.size();
  if (!device_.enabled) {
    outcome.reported = std::move(invited);
  } else {
    constexpr double kNever = std::numeric_limits<double>::infinity();
    std::vector<std::pair<double, std::uint64_t>> arrivals;
    for (std::size_t i = 0; i < invited.size(); ++i) {
      const DeviceTurn turn = turn_of(round, invited[i], examples[i], work);
      const bool lost = turn.is_lost || turn.seconds > cohort.deadline_s;
      arrivals.emplace_back(lost ? kNever : turn.seconds, invited[i]);
    }
    std::sort(arrivals.begin(), arrivals.end());
    for (const auto& [time, client] : arrivals) {
      if (time == kNever || outcome.reported.size() == cohort.size) {
        outcome.lost.push_back(client);
      } else {
        outcome.reported.push_back(client);
        outcome.seconds = time;
      }
    }
    if (outcome.reported.size() < cohort.size) outcome.seconds = cohort.deadline_s;
  }
  outcome.complete = outcome.reported.size() >= std::max<std::size_t>(cohort.size_min, 1);
  std::sort(outcome.reported.begin(), outcome.reported.end());
  return outcome;
}

}  // namespace inkling
