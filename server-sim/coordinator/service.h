#pragma once
// Service: a Coordinator behind HTTP. It turns requests into calls, lets polls wait for news, and
// ticks the clock.
//
//   POST /v1/clients/CLIENT/join                          an Invitation
//   POST /v1/clients/CLIENT/rounds/ROUND.ATTEMPT/poll     body: the type of the newest message that
//   the device has; answers
//                                                         the next one, or nothing after
//                                                         kPollWaitMs
//   POST /v1/clients/CLIENT/rounds/ROUND.ATTEMPT/message  body: a message of fl-sa/1
//   GET  /healthz                                         "ok"
// CLIENT is the device's id, 32 hexadecimal digits. A device is believed to be who it says by its
// signatures, which every message carries; what a poll gives away is either public in the round or
// sealed for the device.
//
// handle() may be called from many threads.

#include <condition_variable>
#include <mutex>
#include <thread>

#include "runtime/base/clock.h"
#include "server-sim/coordinator/coordinator.h"
#include "server-sim/https/http.h"

namespace inkling {

inline constexpr std::int64_t kPollWaitMs = 10'000;

class Service {
 public:
  Service(Coordinator coordinator, const Clock& clock);
  ~Service();  // as stop()

  HttpResponse handle(const HttpRequest& request);

  // False once the coordinator has failed (a full disk, say); failure() then tells why.
  bool healthy();
  Result<void> failure();
  // Lets waiting polls return empty and ends the clock. Call it before stopping the HTTP server.
  void stop();

 private:
  HttpResponse poll(const secagg::ClientId& client, const secagg::Attempt& attempt, ByteSpan body);
  void run_clock();

  std::mutex mutex_;
  std::condition_variable changed_;
  Coordinator coordinator_;
  const Clock& clock_;
  bool stopping_ = false;
  Result<void> failure_;
  std::thread ticker_;
};

}  // namespace inkling
