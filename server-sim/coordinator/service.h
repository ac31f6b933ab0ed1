#pragma once
// Service: a Coordinator behind HTTP. It turns requests into calls, lets polls wait for news, and
// ticks the clock.
//
//   POST /v1/clients/CLIENT/join                          an Invitation
//   POST /v1/clients/CLIENT/rounds/ROUND.ATTEMPT/poll     body: the type of the newest message that
//   the device has; answers
//                                                         the next one, or nothing after
//                                                         kPollWaitMs, or at once when the device
//                                                         has no seat or asks again meanwhile
//   POST /v1/clients/CLIENT/rounds/ROUND.ATTEMPT/message  body: a message of fl-sa/1
//   GET  /healthz                                         "ok", or 503 once the coordinator failed
//   GET  /readyz                                          "ok" while devices can be served
//   GET  /metrics                                         OpenMetrics
//   GET  /v1/events                                       server-sent events, as they happen:
//                                                         rounds and phases; Last-Event-ID goes on
//                                                         where one left off; kWatchersMax at once
//   POST /v1/admin/cancel                                 ends the open attempt
// /metrics and below want `Authorization: Bearer TOKEN`, and are 404 when there is no token.
// CLIENT is the device's id, 32 hexadecimal digits. Where devices have to show TLS certificates,
// the certificate's name is CLIENT; any other gets 403. A device is believed to be who it says by
// its signatures, which every message carries; what a poll gives away is either public in the round
// or sealed for the device.
//
// handle() may be called from many threads.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
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
inline constexpr int kWatchersMax = 8;

// A change of state, for whoever watches.
struct ServiceEvent {
  std::uint64_t id = 0;
  std::string data;  // one JSON object
};

class Service {
 public:
  // admin_token: at least kAdminTokenBytesMin characters, or empty: nobody is an operator.
  // binds_certificates: a device request comes with the certificate of that device.
  Service(Coordinator coordinator, const Clock& clock, std::string admin_token = {},
          bool binds_certificates = false);
  ~Service();  // as stop()

  // A response with next_piece must not outlive the service.
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
  std::optional<Bytes> next_events(std::uint64_t& seen);
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
  const bool binds_certificates_;
  std::map<secagg::ClientId, std::uint64_t> waiting_;  // the newest poll of each that waits
  std::uint64_t polls_ = 0;
  std::deque<ServiceEvent> events_;  // the newest kEventsKept
  std::string last_state_;
  std::atomic<int> watchers_{0};
  bool stopping_ = false;
  Result<void> failure_;
  std::thread ticker_;
};

}  // namespace inkling
