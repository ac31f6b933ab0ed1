#include "server-sim/chaos/faults.h"

namespace inkling {

ChaosFaults ChaosFaults::draw(Rng& rng) {
  const auto chance = [&](double most) {
    const double strength = rng.uniform();
    return rng.below(2) == 0 ? 0.0 : most * strength;
  };
  ChaosFaults faults;
  faults.lose_request = chance(0.2);
  faults.lose_answer = chance(0.2);
  faults.delay = chance(0.15);
  faults.duplicate = chance(0.3);
  faults.corrupt = chance(0.1);
  faults.garble_answer = chance(0.01);
  faults.stale_answer = chance(0.03);
  faults.partition = chance(0.02);
  faults.device_crash = chance(0.04);
  faults.device_disk = chance(0.08);
  faults.server_crash = chance(0.03);
  faults.server_disk = chance(0.04);
  faults.skew = chance(0.6);
  faults.byzantine = chance(0.2);
  faults.cancel = chance(0.004);
  return faults;
}

}  // namespace inkling
