#pragma once
// HttpsTransport: exchanges with one server over one kept-alive TLS 1.3 connection.
//
// Nothing is sent before the server's certificate has been verified against the given authorities,
// host name and pins. A connection that the server closed meanwhile is replaced without a word, but
// only before the request was sent; retries, with back-off and jitter, are the caller's business.
// One thread at a time.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "federated/transport.h"

namespace inkling {

inline constexpr std::size_t kResponseBytesMax = std::size_t{64} << 20;

struct HttpsEndpoint {
  std::string host = {};  // dialled, and expected in the certificate
  std::uint16_t port = 443;
  std::string authorities_pem = {};    // the only certificates trusted to sign the server's
  std::vector<std::string> pins = {};  // "sha256/<hex>" of accepted server keys; empty: any key
  // Shown to a server that asks for a certificate, PEM. The key is wiped by create().
  std::string certificate_pem = {}, key_pem = {};
  std::string bearer_token = {};  // sent as Authorization when not empty
  std::size_t response_bytes_max = kResponseBytesMax;
};

class HttpsTransport final : public Transport {
 public:
  // Connects to nothing yet. kCorrupt or kInvalidArgument: the endpoint can never work.
  static Result<std::unique_ptr<HttpsTransport>> create(HttpsEndpoint endpoint);
  ~HttpsTransport() override;

  // POSTs body as application/octet-stream. Errors:
  //   kNetwork           no connection, TLS failure, deadline, HTTP 408, 429 or 5xx
  //   kResourceLimit     the answer is longer than response_bytes_max, or HTTP 413, 414, 431
  //   kNotFound 404; kVerification 401, 403; kFailedPrecondition 409; kProtocol any other status
  // The message carries the server's own "detail" where it sent problem+json (RFC 9457).
  Result<Bytes> exchange(std::string_view path, ByteSpan body, std::int64_t timeout_ms) override;

 private:
  struct State;
  explicit HttpsTransport(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace inkling
