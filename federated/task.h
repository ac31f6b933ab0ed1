#pragma once
// What a federated task is to a device: a plan (how to train) and a model (what to train), and the
// server's answer to a device that asks for a seat in a round.
//
// Decoders treat their bytes as hostile: kCorrupt unless they are one verified flatbuffer within
// the limits below.

#include <cstdint>
#include <string>

#include "federated/secagg/config.h"
#include "runtime/base/bytes.h"

namespace inkling::federated {

inline constexpr std::uint32_t kLocalStepsMax = 100'000;
inline constexpr std::size_t kPlanBytesMax = 4096;
// A device keeps its seat, model and all, as one value of its KeyValue.
inline constexpr std::size_t kTaskModelBytesMax = std::size_t{15} << 20;

struct Plan {
  std::string kind;               // names the local training, e.g. "conditional_logit"
  std::uint32_t local_steps = 1;  // 1..kLocalStepsMax
  double rate = 0.1;              // of the local optimizer; finite, above 0
  // FedProx (Li et al., MLSys'20): local training adds prox / 2 |w - w_global|^2 to its loss.
  // Finite, 0 or above.
  double prox = 0;
};

Bytes encode_plan(const Plan& plan);
Result<Plan> decode_plan(const Bytes& bytes);

enum class Seat : std::uint8_t { kWait, kTaken, kFinished };

// The answer to "join".
struct Invitation {
  Seat seat = Seat::kWait;
  std::uint32_t retry_ms = 0;  // kWait: ask again after this long
  // kTaken:
  secagg::Attempt attempt;
  secagg::TaskId task{};
  Bytes plan, model;
  Bytes manifest = {};  // of the model (manifest.h)
};

Bytes encode_invitation(const Invitation& invitation);
Result<Invitation> decode_invitation(const Bytes& bytes);

}  // namespace inkling::federated
