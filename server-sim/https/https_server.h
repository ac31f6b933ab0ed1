#pragma once
// HttpsServer: TLS 1.3 and HTTP/1.1 in front of one handler.
//
// Every connection is served by one thread, so a handler may wait (long polls): size workers_max to
// the clients that wait at once plus those that work. Threads are made as they are needed. What an
// attacker can spend is bounded everywhere: handshake, head and body have deadlines, heads and
// bodies have byte limits, connections are capped in total and per peer, and when all workers are
// busy and the line is full, new clients get an immediate 503. When others wait for a worker, idle
// connections give way, and new ones have a half of handshake_ms and a quarter of head_ms and
// body_ms. Refusals are problem+json and end the connection.
//
// The handler is called from many threads at once. If it throws, the peer gets a bare 500.
//
// HTTP is cpp-httplib's, behind a check of its own (request_head.h); see docs/decisions/0001. A
// side effect of that library: from the first server on, the process ignores SIGPIPE.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "federated/http/tls.h"
#include "server-sim/https/http.h"
#include "server-sim/https/request_head.h"

namespace inkling {

struct HttpsServerLimits {
  RequestHeadLimits head = {};
  std::size_t head_bytes_max = 16 << 10;
  std::uint64_t bodies_bytes_max = std::uint64_t{256} << 20;  // of all requests in flight; then 503
  std::size_t connections_max = 1024;
  std::size_t connections_per_peer_max = 32;  // 0: no cap, for many clients behind one address
  std::size_t workers_max = 512;
  std::size_t waiting_max = 256;  // accepted connections in line for a worker; then 503
  std::size_t requests_per_connection_max = 1000;
  std::int64_t handshake_ms = 3000;
  std::int64_t head_ms = 4000;
  std::int64_t body_ms = 4000;     // plus the body's size over bytes_per_s_min
  std::int64_t answer_ms = 10000;  // plus the answer's size over bytes_per_s_min
  std::int64_t bytes_per_s_min = std::int64_t{64} << 10;
  std::int64_t idle_ms = 5000;  // between two requests
};

struct HttpsServerSpec {
  std::string address = "127.0.0.1";  // numeric
  std::uint16_t port = 0;             // 0: the system chooses
  HttpsServerLimits limits = {};
};

// Counts since the start.
struct HttpsServerStats {
  std::uint64_t connections = 0;  // accepted
  std::uint64_t turned_away = 0;  // over a cap: closed at once, or answered 503
  std::uint64_t handshakes_failed = 0;
  std::uint64_t requests = 0;  // that reached the handler
  std::uint64_t refusals = 0;  // that did not: answered 4xx or 5xx
};

using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

class HttpsServer {
 public:
  // Listens and serves from when this returns. kNetwork: the address cannot be had.
  static Result<std::unique_ptr<HttpsServer>> start(TlsContext context, HttpsServerSpec spec,
                                                    HttpHandler handler);
  ~HttpsServer();  // stops

  // Accepts no more, wakes idle connections, lets running handlers answer, and joins all threads:
  // whoever stops the server first tells waiting handlers to return. Idempotent.
  void stop();

  std::uint16_t port() const;
  HttpsServerStats stats() const;

 private:
  struct State;
  explicit HttpsServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace inkling
