#include "server-sim/chaos/wire.h"

#include "federated/secagg/envelope.h"

namespace inkling {

namespace {

constexpr std::size_t kAnswersKept = 8;  // for a path
// Half of the late copies come within the phase or just after it, the others whenever.
constexpr std::int64_t kShortDelayMaxMs = 4'000, kDelayMaxMs = 90'000;

tl::unexpected<Error> unreachable(std::string_view why) {
  return fail(ErrorCode::kNetwork, "chaos: ", why);
}

}  // namespace

std::optional<secagg::Attempt> attempt_in(const std::string& path) {
  constexpr std::string_view kRounds = "/rounds/";
  const std::size_t at = path.find(kRounds);
  if (at == std::string::npos) return std::nullopt;
  const std::string rest = path.substr(at + kRounds.size());
  const std::size_t dot = rest.find('.');
  return secagg::Attempt{std::stoull(rest),
                         static_cast<std::uint32_t>(std::stoul(rest.substr(dot + 1)))};
}

bool is_message(const std::string& path) { return path.ends_with("/message"); }

Bytes ChaosWire::flip_bits(Bytes bytes) {
  if (bytes.empty()) return bytes;
  Rng& rng = world_.rng_;
  if (rng.below(8) == 0) {
    bytes.resize(rng.below(bytes.size()));
    return bytes;
  }
  for (std::uint64_t flips = 1 + rng.below(3); flips > 0; --flips)
    bytes[rng.below(bytes.size())] ^= static_cast<std::uint8_t>(1u << rng.below(8));
  return bytes;
}

// A message with another body, signed by the device that is byzantine; or bytes that are nothing.
void ChaosWire::lie(const std::string& path, const Bytes& body) {
  ++world_.run_.counts.lies;
  const auto envelope = secagg::open_envelope(body);
  Bytes lie = flip_bits(body);
  if (is_message(path) && envelope) {
    lie = secagg::seal_envelope(envelope->type, envelope->ctx, flip_bits(envelope->body),
                                envelope->raw, device_.identity.key);
  }
  const auto answer = world_.serve(device_.index, path, lie, Copy::kForged);
  world_.note("device ", device_.index, " lies: ", answer ? "taken" : answer.error().message);
}

Result<Bytes> ChaosWire::exchange(std::string_view where, ByteSpan bytes, std::int64_t) {
  const ChaosFaults& faults = world_.faults_;
  ++world_.run_.counts.exchanges;
  if (device_.is_crashed) return unreachable("the device has crashed");
  if (world_.strikes(faults.device_crash)) {
    world_.crash(device_);
    return unreachable("the device crashes before it sends");
  }
  const std::string path(where);
  const Bytes body(bytes.begin(), bytes.end());
  const auto attempt = attempt_in(path);
  if (attempt && is_message(path)) world_.oracle_->sent(device_.index, *attempt, body);
  auto answer = travel(path, body);
  if (world_.strikes(faults.device_crash)) {
    world_.crash(device_);
    return unreachable("the device crashes before it hears");
  }
  if (!answer || answer->empty()) return answer;
  if (world_.strikes(faults.garble_answer)) return flip_bits(*answer);
  std::vector<Bytes>& earlier = device_.answers[path];
  if (!earlier.empty() && world_.strikes(faults.stale_answer))
    return earlier[world_.rng_.below(earlier.size())];
  if (earlier.size() < kAnswersKept) earlier.push_back(*answer);
  return answer;
}

Result<Bytes> ChaosWire::travel(const std::string& path, const Bytes& body) {
  const ChaosFaults& faults = world_.faults_;
  ChaosCounts& counts = world_.run_.counts;
  const std::size_t index = device_.index;
  if (device_.is_cut_off) return unreachable("cut off");
  if (device_.is_byzantine && world_.strikes(faults.byzantine)) lie(path, body);
  const auto arrive_later = [&] {
    const bool is_short = world_.rng_.below(2) == 0;
    world_.at(world_.between(1, is_short ? kShortDelayMaxMs : kDelayMaxMs),
              [&world = world_, index, path, body] {
                const auto answer = world.serve(index, path, body, Copy::kLate);
                world.note("late ", path, " of device ", index, ": ",
                           answer ? "taken" : answer.error().message);
              });
  };
  if (world_.strikes(faults.lose_request)) {
    ++counts.lost;
    return unreachable("the request is lost");
  }
  if (world_.strikes(faults.delay)) {
    ++counts.delayed;
    arrive_later();
    return unreachable("the request is late");
  }
  if (world_.strikes(faults.duplicate)) {
    ++counts.duplicated;
    arrive_later();
  }
  if (world_.strikes(faults.corrupt)) {
    ++counts.corrupted;
    const auto answer = world_.serve(index, path, flip_bits(body), Copy::kForged);
    if (answer && is_message(path) && !answer->empty())
      world_.oracle_->broken("a message has an answer");
  }
  auto answer = world_.serve(index, path, body, Copy::kLive);
  if (answer && world_.strikes(faults.lose_answer)) {
    ++counts.lost;
    return unreachable("the answer is lost");
  }
  return answer;
}

}  // namespace inkling
