#pragma once
// TLS 1.3 over a non-blocking socket, every operation with a deadline.
//
// Both ends speak TLS 1.3 only, with AES-GCM or ChaCha20-Poly1305 and X25519 or P-256, without
// tickets, early data, compression or renegotiation. A deadline is a steady_now_ms() value. Errors
// are kNetwork, in one line. Writing to a peer that has gone never raises SIGPIPE.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "runtime/base/bytes.h"

namespace inkling {

std::int64_t steady_now_ms();

// What both kinds of connection are made from. Immutable; any thread; must outlive its channels.
class TlsContext {
 public:
  // A certificate chain and its private key, PEM.
  struct Credentials {
    std::string_view chain_pem, key_pem;
  };

  // kCorrupt: something does not parse, or certificate and key do not match. With
  // client_authorities_pem the handshake fails for whoever shows no certificate that is signed by
  // one of them for a client.
  static Result<TlsContext> server(std::string_view chain_pem, std::string_view key_pem,
                                   std::string_view client_authorities_pem = {});

  // Trusts the PEM certificates in authorities_pem and nothing else: the system's own trust store
  // is not read. With pins ("sha256/<hex>" of the server's public key info) the server's key must
  // be one of them too. Shows `own` to a server that asks for a certificate. kCorrupt: no
  // certificate, or credentials that do not fit; kInvalidArgument: a malformed pin.
  static Result<TlsContext> client(std::string_view authorities_pem,
                                   std::span<const std::string> pins = {}, Credentials own = {});

  TlsContext(TlsContext&&) noexcept;
  TlsContext& operator=(TlsContext&&) noexcept;
  ~TlsContext();

 private:
  friend class TlsChannel;
  struct State;
  explicit TlsContext(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// One connection over a socket that its caller owns and closes afterwards. One thread at a time.
class TlsChannel {
 public:
  // Make a connected socket non-blocking and shake hands over it.
  static Result<TlsChannel> accept(const TlsContext& context, int socket, std::int64_t deadline_ms);
  // The server's certificate must be valid now and name `host`, a DNS name or an address.
  static Result<TlsChannel> connect(const TlsContext& context, int socket, const std::string& host,
                                    std::int64_t deadline_ms);

  TlsChannel(TlsChannel&&) noexcept;
  TlsChannel& operator=(TlsChannel&&) noexcept;
  ~TlsChannel();

  // Reads 1..into.size() bytes; 0 only after the peer's close_notify. A connection cut without one
  // is an error, so that a truncated message cannot pass for a whole one.
  Result<std::size_t> read(std::span<std::uint8_t> into, std::int64_t deadline_ms);
  Result<void> write(ByteSpan bytes, std::int64_t deadline_ms);

  // True when read() would not wait: bytes, or the end, are there.
  bool wait_readable(std::int64_t deadline_ms);

  // True while the connection stands and the peer has said nothing. Does not wait.
  bool is_idle();

  // The common name in the certificate that the peer had to show; empty without one.
  std::string peer_name() const;

  // Says close_notify, then throws away what the peer still sends, up to bytes_max, so that the
  // last answer is not lost to a reset (RFC 9112, 9.6). The channel is spent afterwards.
  void close_gently(std::int64_t deadline_ms, std::size_t bytes_max);

 private:
  struct State;
  explicit TlsChannel(std::unique_ptr<State> state);
  static Result<TlsChannel> open(const TlsContext& context, int socket, std::int64_t deadline_ms,
                                 const std::string* host);
  std::unique_ptr<State> state_;
};

}  // namespace inkling
