#pragma once
// A real HTTPS server on loopback for tests: certificates made in memory, and a client that sends
// raw bytes. Functions abort the test program when the set-up itself fails.

#include <memory>
#include <string>
#include <vector>

#include "federated/http/https_transport.h"
#include "federated/http/socket.h"
#include "federated/http/tls.h"
#include "runtime/base/clock.h"
#include "server-sim/https/https_server.h"
#include "server-sim/pki/certificate.h"

namespace inkling::testing {

struct TestKeys {
  CertifiedKey authority;
  CertifiedKey server;
};

inline Validity valid_now() { return *valid_for_days(SystemClock().unix_ms(), 1); }

inline TestKeys make_keys(const std::vector<std::string>& hosts = {"127.0.0.1", "localhost"},
                          Validity validity = valid_now()) {
  CertifiedKey authority = make_tls_authority("test authority", valid_now()).value();
  CertifiedKey server = issue_server_certificate(authority, hosts, validity).value();
  return {std::move(authority), std::move(server)};
}

inline std::unique_ptr<HttpsServer> start_server(const TestKeys& keys, HttpHandler handler,
                                                 HttpsServerLimits limits = {}) {
  limits.connections_per_peer_max = 0;
  TlsContext context =
      TlsContext::server(keys.server.certificate_pem, keys.server.key_pem.reveal()).value();
  return HttpsServer::start(std::move(context), {.limits = limits}, std::move(handler)).value();
}

inline HttpResponse echo(const HttpRequest& request) {
  HttpResponse response;
  response.body = request.body;
  return response;
}

inline HttpsEndpoint endpoint_of(const TestKeys& keys, const HttpsServer& server) {
  HttpsEndpoint endpoint;
  endpoint.host = "127.0.0.1";
  endpoint.port = server.port();
  endpoint.authorities_pem = keys.authority.certificate_pem;
  return endpoint;
}

inline std::unique_ptr<HttpsTransport> make_transport(HttpsEndpoint endpoint) {
  return HttpsTransport::create(std::move(endpoint)).value();
}

// One TLS connection on which a test writes what it likes.
class RawClient {
 public:
  RawClient(const TestKeys& keys, const HttpsServer& server)
      : context_(TlsContext::client(keys.authority.certificate_pem).value()),
        socket_(connect_tcp("127.0.0.1", server.port(), steady_now_ms() + 5000).value()),
        channel_(TlsChannel::connect(context_, socket_.get(), "127.0.0.1", steady_now_ms() + 5000)
                     .value()) {}

  bool send(std::string_view bytes, std::int64_t timeout_ms = 5000) {
    return channel_.write(as_bytes(bytes), steady_now_ms() + timeout_ms).has_value();
  }

  // Everything up to the end of the connection, or the timeout.
  std::string read_all(std::int64_t timeout_ms = 5000) {
    const std::int64_t deadline_ms = steady_now_ms() + timeout_ms;
    std::string text;
    Bytes buffer(4096);
    for (;;) {
      const auto got = channel_.read(buffer, deadline_ms);
      if (!got || *got == 0) return text;
      text.append(as_text(ByteSpan(buffer).first(*got)));
    }
  }

 private:
  TlsContext context_;
  Socket socket_;
  TlsChannel channel_;
};

}  // namespace inkling::testing
