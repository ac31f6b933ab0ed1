#include "server-sim/chaos/oracle.h"

#include <algorithm>
#include <cmath>

#include "federated/parameters.h"
#include "federated/secagg/envelope.h"
#include "runtime/model.h"

namespace inkling {

namespace {

using secagg::MessageType;
using secagg::ServerPhase;

constexpr std::size_t kViolationsMax = 20;
// A parameter is a sum of at most a few float means of magnitude 1: their rounding, not more.
constexpr float kModelTolerance = 1e-6f;

// What devices send in a phase, by ServerPhase.
constexpr MessageType kAnswers[] = {MessageType::kAdvertise, MessageType::kShares,
                                    MessageType::kMasked, MessageType::kConfirm,
                                    MessageType::kUnmask};

std::string text(const secagg::Attempt& attempt) {
  return concat("attempt ", attempt.round, ".", attempt.attempt);
}

std::vector<float> parameters_of(const Bytes& bytes) {
  const auto owner = std::make_shared<const Bytes>(bytes);  // borrowed by the model
  const auto model = decode_model(*owner, owner);
  return model ? federated::get_parameters(*model) : std::vector<float>();
}

}  // namespace

ChaosOracle::ChaosOracle(const secagg::Config& config, std::vector<secagg::ClientId> devices,
                         std::vector<float> first_model, const Bytes& first_bytes)
    : config_(config),
      devices_(std::move(devices)),
      model_(std::move(first_model)),
      model_hashes_{secagg::hash_of({first_bytes})} {}

void ChaosOracle::broken(std::string what) {
  if (violations_.size() < kViolationsMax) violations_.push_back(std::move(what));
}

void ChaosOracle::sent(std::size_t device, const secagg::Attempt& attempt, ByteSpan message) {
  const auto envelope = secagg::open_envelope(message);
  if (!envelope) return broken(concat("device ", device, " sent what is no message"));
  const secagg::Hash digest = secagg::hash_of({message});
  const auto [first, is_new] = sent_.try_emplace({device, {attempt, envelope->type}}, digest);
  if (!is_new && first->second != digest) {
    broken(concat("one answer: device ", device, " sent two different ",
                  secagg::message_type_name(envelope->type), " in ", text(attempt)));
  }
  if (envelope->type != MessageType::kUnmask) return;
  const auto unmask = secagg::decode_unmask(envelope->body);
  if (!unmask) return broken(concat("device ", device, " sent an unmask that does not decode"));
  for (const secagg::ReleasedShare& share : unmask->shares) {
    Kinds& kinds = released_[{attempt, share.owner}];
    const bool both_before = kinds.self_mask && kinds.pair_key;
    (share.kind == secagg::ShareKind::kSelfMask ? kinds.self_mask : kinds.pair_key) = true;
    if (!both_before && kinds.self_mask && kinds.pair_key) {
      broken(concat("no both: devices released both kinds of share of client ", share.owner, " in ",
                    text(attempt)));
    }
  }
}

void ChaosOracle::acknowledged(std::size_t device, const secagg::Attempt& attempt,
                               ByteSpan message) {
  const auto envelope = secagg::open_envelope(message);
  if (envelope) acknowledged_[{attempt, envelope->type}].insert(device);
}

void ChaosOracle::seated(const federated::Invitation& invitation) {
  const std::uint64_t round = invitation.attempt.round;
  if (round != model_hashes_.size()) {
    return broken(concat("nothing lost: a seat in ", text(invitation.attempt), " after ",
                         model_hashes_.size() - 1, " rounds"));
  }
  if (secagg::hash_of({invitation.model}) != model_hashes_.back())
    broken(concat("nothing lost: ", text(invitation.attempt), " trains another model than round ",
                  round - 1, " made"));
}

void ChaosOracle::finished(const federated::Participation& participation) {
  const auto report = reports_.find(participation.attempt);
  const auto& result = participation.result;
  const std::string where = text(participation.attempt);
  if (report == reports_.end())
    return broken(concat("nothing lost: a device has a result of ", where, ", the server none"));
  if (result.code != report->second.code)
    return broken(
        concat("nothing lost: a device and the server disagree on how ", where, " ended"));
  if (result.code != secagg::RoundCode::kOk) return;
  if (result.model_hash != model_hashes_[participation.attempt.round])
    broken(concat("nothing lost: ", where, " announced a model that is not its round's"));
}

void ChaosOracle::look_at(Coordinator& coordinator, bool restarted) {
  if (!restarted && coordinator.version() == version_seen_) return;
  version_seen_ = coordinator.version();
  const auto reports = coordinator.reports();
  if (!reports) return broken(concat("reports: ", reports.error().message));
  std::set<secagg::Attempt> known;
  for (const RoundReport& report : *reports) {
    known.insert(report.attempt);
    const auto earlier = reports_.find(report.attempt);
    if (earlier == reports_.end()) {
      check_report(report);
      reports_.emplace(report.attempt, report);
      if (report.code == secagg::RoundCode::kOk) check_model(coordinator);
    } else if (earlier->second.result != report.result) {
      broken(concat("nothing lost: ", text(report.attempt), " has another result than before"));
    }
  }
  for (const auto& [attempt, report] : reports_) {
    if (known.count(attempt) == 0)
      broken(concat("nothing lost: the report of ", text(attempt), " is gone"));
  }
  const auto progress = coordinator.progress();
  for (const auto& [kind, devices] : acknowledged_) {
    const bool open = progress && progress->attempt == kind.first;
    if (known.count(kind.first) == 0 && !open)
      broken(concat("nothing lost: ", text(kind.first), " is neither open nor reported"));
  }
  if (coordinator.rounds_done() + 1 != model_hashes_.size()) {
    broken(concat("nothing lost: ", coordinator.rounds_done(), " rounds are done, expected ",
                  model_hashes_.size() - 1));
  } else if (secagg::hash_of({coordinator.model()}) != model_hashes_.back()) {
    broken(concat("nothing lost: the model after round ", coordinator.rounds_done(), " changed"));
  }
  if (restarted) check_open(coordinator);
}

// Of the open attempt, the journal holds whatever was acknowledged.
void ChaosOracle::check_open(const Coordinator& coordinator) {
  const auto progress = coordinator.progress();
  if (!progress) return;
  const auto phase = static_cast<std::size_t>(progress->phase);
  if (phase >= std::size(kAnswers)) return;
  for (std::size_t p = 0; p < std::size(kAnswers); ++p) {
    const auto found = acknowledged_.find({progress->attempt, kAnswers[p]});
    if (found == acknowledged_.end()) continue;
    if (p > phase || (p == phase && found->second.size() > progress->answered)) {
      broken(concat("nothing lost: ", found->second.size(), " ",
                    secagg::message_type_name(kAnswers[p]), " were acknowledged in ",
                    text(progress->attempt), ", the restarted server is in phase ", phase, " with ",
                    progress->answered, " answers"));
    }
  }
}

void ChaosOracle::check_report(const RoundReport& report) {
  if (report.code != secagg::RoundCode::kOk) {
    if (!report.sum.empty()) broken(concat(text(report.attempt), " was aborted, and has a sum"));
    return;
  }
  const auto is_lost = [&](const secagg::ClientId& id) {
    return std::any_of(report.dropped.begin(), report.dropped.end(), [&](const DroppedClient& d) {
      return d.client == id && d.phase <= static_cast<int>(ServerPhase::kMasking);
    });
  };
  std::set<std::size_t> survivors;
  for (const secagg::ClientId& id : report.roster) {
    const auto device = std::find(devices_.begin(), devices_.end(), id);
    if (device == devices_.end()) return broken(concat(text(report.attempt), ": a stranger"));
    if (!is_lost(id)) survivors.insert(static_cast<std::size_t>(device - devices_.begin()));
  }
  std::vector<std::uint64_t> expected(devices_.size() + 1, 0);
  for (const std::size_t i : survivors) expected[i] = static_cast<std::uint64_t>(config_.scale);
  expected.back() = survivors.size();  // the weights
  if (report.sum != expected || report.survivors != survivors.size())
    broken(concat("exact sum: that of ", text(report.attempt), " is not that of its ",
                  survivors.size(), " survivors"));
  for (const std::size_t i : acknowledged_[{report.attempt, MessageType::kMasked}]) {
    if (survivors.count(i) == 0)
      broken(concat("nothing lost: the update of device ", i, " was acknowledged in ",
                    text(report.attempt), ", and is not in the sum"));
  }
  for (const std::size_t i : survivors) model_[i] += 1 / static_cast<float>(survivors.size());
}

// A round that ended well has just been reported, and with it the model it made.
void ChaosOracle::check_model(const Coordinator& coordinator) {
  const std::vector<float> now = parameters_of(coordinator.model());
  const bool equal = now.size() == model_.size() &&
                     std::equal(now.begin(), now.end(), model_.begin(), [](float a, float b) {
                       return std::abs(a - b) <= kModelTolerance;
                     });
  if (!equal)
    broken(concat("exact sum: round ", model_hashes_.size(), " moved the model elsewhere"));
  model_ = now.size() == model_.size() ? now : model_;
  model_hashes_.push_back(secagg::hash_of({coordinator.model()}));
}

}  // namespace inkling
