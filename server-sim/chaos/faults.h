#pragma once
// Which faults a chaos seed has, and how often each strikes.
//
// Every seed has a random half of the kinds of fault, at random strength: a fault that is always on
// hides what only happens without it ("swarm testing", Groce et al., ISSTA 2012).

#include "runtime/base/rng.h"

namespace inkling {

// Chances in 0..1 for each opportunity; 0: this seed is spared.
struct ChaosFaults {
  // The network, for each exchange.
  double lose_request = 0, lose_answer = 0;
  double delay = 0;          // the request arrives later, the device has given up on it by then
  double duplicate = 0;      // a second copy arrives later
  double corrupt = 0;        // another copy arrives first, with flipped bits or cut short
  double garble_answer = 0;  // the answer has flipped bits
  double stale_answer = 0;   // the answer is an earlier one of that request
  double partition = 0;      // for each second: a random part of the devices is cut off for a while
  // Crashes: of a device before and after each exchange, of its disk at a write; of the server
  // before and after each request, of its disk at a write.
  double device_crash = 0, device_disk = 0;
  double server_crash = 0, server_disk = 0;
  double skew = 0;       // share of clocks that are off
  double byzantine = 0;  // for each exchange of the one device that is: a signed lie, or garbage
  double cancel = 0;     // for each second: the operator ends the attempt

  static ChaosFaults draw(Rng& rng);
};

}  // namespace inkling
