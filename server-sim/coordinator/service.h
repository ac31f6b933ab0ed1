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
//   GET  /healthz                                         "ok", or 503 once the coordinator failed
//   GET  /readyz                                          "ok" while devices can be served
//   GET  /metrics                                         OpenMetrics
//   GET  /v1/events                                       server-sent events: rounds and phases;
//                                                         Last-Event-ID goes on where one left off
//   POST /v1/admin/cancel                                 ends the open attempt
// /metrics and below want `Authorization: Bearer TOKEN`, and are 404 when there is no token.
// CLIENT is the device's id, 32 hexadecimal digits. A device is believed to be who it says by its
// signatures, which every message carries; what a poll gives away is either public in the round or
// sealed for the device.
//
// handle() may be called from many threads.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/base/clock.h"
#include "server-sim/coordinator/coordinator.h"
#include "server-sim/https/http.h"

namespace inkling {

inline constexpr std::int64_t kPollWaitMs = 10'000;
inline constexpr std::size_t kAdminTokenBytesMin = 16;
inline constexpr std::size_t kEventsKept = 1000;

// A change of state, for whoever watches.
struct ServiceEvent {
  std::uint64_t id = 0;
  std::string data;  // one JSON object
};

class Service {
 public:
  // admin_token: at least kAdminTokenBytesMin characters, or empty: nobody is an operator.
  Service(Coordinator coordinator, const Clock& clock, std::string admin_token = {});
  ~Service();  // as stop()

  HttpResponse handle(const HttpRequest& request);

  // False once the coordinator has failed (a full disk, say); failure() then tells why.
  bool healthy();
  Result<void> failure();
  // From now on; errors of Coordinator::set_revocations.
  Result<void> set_revocations(federated::Revocations list);
  // Lets waiting polls return empty and ends the clock. Call it before stopping the HTTP server.
  void stop();

 private:
  HttpResponse operate(const HttpRequest& request);
  HttpResponse device(const HttpRequest& request);
  HttpResponse metrics();
  HttpResponse events(const HttpRequest& request);
  HttpResponse cancel();
  bool is_operator(const HttpRequest& request) const;
  void note_events();
  HttpResponse poll(const secagg::ClientId& client, const secagg::Attempt& attempt, ByteSpan body);
  void run_clock();

  std::mutex mutex_;
  std::condition_variable changed_;
  Coordinator coordinator_;
  const Clock& clock_;
  const std::string admin_token_;
  std::deque<ServiceEvent> events_;  // the newest kEventsKept
  std::string last_state_;
  bool stopping_ = false;
  Result<void> failure_;
  std::thread ticker_;
};

}  // namespace inkling
