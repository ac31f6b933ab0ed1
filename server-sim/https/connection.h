#pragma once
// One connection of the HTTPS server, from handshake to close, on one worker thread.

#include <atomic>

#include "server-sim/https/connection_table.h"
#include "server-sim/https/https_server.h"

namespace inkling {

class Frontend;

// What all connections of a server share. Set up before the first connection; then the constants
// are read and the counters written from any thread.
struct ServerShared {
  ServerShared(TlsContext tls_in, const HttpsServerLimits& limits_in, HttpHandler handler_in)
      : tls(std::move(tls_in)), limits(limits_in), handler(std::move(handler_in)) {}

  const TlsContext tls;
  const HttpsServerLimits limits;
  const HttpHandler handler;
  Frontend* frontend = nullptr;
  std::function<bool()> others_wait;  // for a worker
  std::atomic<bool> stopping{false};
  std::atomic<std::uint64_t> bodies_bytes{0};  // of requests in flight
  std::atomic<std::uint64_t> connections{0};
  std::atomic<std::uint64_t> turned_away{0};
  std::atomic<std::uint64_t> handshakes_failed{0};
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> refusals{0};
};

// Serves requests until either side has had enough. Never throws.
void serve_connection(ServerShared& shared, const ConnectionTable::Seat& seat) noexcept;

// Answers 503 with Retry-After, in about a second at most.
void turn_away(ServerShared& shared, const ConnectionTable::Seat& seat) noexcept;

}  // namespace inkling
