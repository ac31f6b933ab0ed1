#include "federated/http/tls.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <vector>

#include "runtime/base/sha256.h"

namespace inkling {
namespace {

constexpr const char* kCipherSuites =
    "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr const char* kGroups = "X25519:P-256";
constexpr std::string_view kPinPrefix = "sha256/";

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using BioPtr = std::unique_ptr<BIO, Freer<&BIO_free_all>>;
using MethodPtr = std::unique_ptr<BIO_METHOD, Freer<&BIO_meth_free>>;
using ContextPtr = std::unique_ptr<SSL_CTX, Freer<&SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Freer<&SSL_free>>;
using CertificatePtr = std::unique_ptr<X509, Freer<&X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<&EVP_PKEY_free>>;

std::string openssl_reason() {
  const unsigned long code = ERR_get_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return reason != nullptr ? reason : "connection cut";
}

// --- A socket BIO that sends with MSG_NOSIGNAL; OpenSSL's own raises SIGPIPE. ---

int socket_of(BIO* bio) {
  return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int bio_write(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = ::send(socket_of(bio), bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (n < 0 && would_block()) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

int bio_read(BIO* bio, char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = ::recv(socket_of(bio), bytes, static_cast<std::size_t>(size), 0);
  if (n < 0 && would_block()) BIO_set_retry_read(bio);
  if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(n);
}

long bio_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return 0;
}

int bio_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

MethodPtr make_socket_method() {
  MethodPtr method(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "inkling socket"));
  if (!method || BIO_meth_set_write(method.get(), bio_write) != 1 ||
      BIO_meth_set_read(method.get(), bio_read) != 1 ||
      BIO_meth_set_ctrl(method.get(), bio_control) != 1 ||
      BIO_meth_set_create(method.get(), bio_create) != 1) {
    return nullptr;
  }
  return method;
}

// Waits for one socket event; false at the deadline.
bool wait_for(int socket, short events, std::int64_t deadline_ms) {
  for (;;) {
    const std::int64_t left = std::clamp<std::int64_t>(deadline_ms - steady_now_ms(), 0, INT_MAX);
    pollfd entry{.fd = socket, .events = events, .revents = 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return true;  // let the operation itself find out
  }
}

ContextPtr make_context(const SSL_METHOD* method) {
  ContextPtr context(SSL_CTX_new(method));
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context.get(), kCipherSuites) != 1 ||
      SSL_CTX_set1_groups_list(context.get(), kGroups) != 1 ||
      SSL_CTX_set_num_tickets(context.get(), 0) != 1) {
    return nullptr;
  }
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return context;
}

std::vector<CertificatePtr> read_certificates(std::string_view pem) {
  std::vector<CertificatePtr> found;
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (!bio) return found;
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
    found.emplace_back(one);
  ERR_clear_error();  // the end of the text counts as an error
  return found;
}

Result<std::vector<Sha256Digest>> parse_pins(std::span<const std::string> pins) {
  std::vector<Sha256Digest> digests;
  for (const std::string& pin : pins) {
    const auto hex = pin.starts_with(kPinPrefix) ? from_hex(pin.substr(kPinPrefix.size()))
                                                 : Result<Bytes>(Bytes());
    if (!hex || hex->size() != Sha256Digest().size()) {
      return fail(ErrorCode::kInvalidArgument, "pin \"", pin,
                  "\": expected sha256/ and 64 hexadecimal digits");
    }
    std::copy(hex->begin(), hex->end(), digests.emplace_back().begin());
  }
  return digests;
}

Result<Sha256Digest> key_digest(const X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0) return fail(ErrorCode::kNetwork, "the server's key cannot be encoded");
  const Sha256Digest digest = sha256({der, static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return digest;
}

bool is_ip_address(const std::string& host) {
  const std::unique_ptr<ASN1_OCTET_STRING, Freer<&ASN1_OCTET_STRING_free>> address(
      a2i_IPADDRESS(host.c_str()));
  ERR_clear_error();
  return address != nullptr;
}

// Makes the handshake fail unless the certificate names host.
bool expect_host(SSL* ssl, const std::string& host) {
  X509_VERIFY_PARAM* parameters = SSL_get0_param(ssl);
  if (is_ip_address(host)) return X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str()) == 1;
  X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), host.size()) == 1 &&
         SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
}

Result<void> use_credentials(SSL_CTX* context, const TlsContext::Credentials& own,
                             const char* whose) {
  const std::vector<CertificatePtr> chain = read_certificates(own.chain_pem);
  if (chain.empty())
    return fail(ErrorCode::kCorrupt, "tls: the ", whose, "'s file holds no certificate");
  const BioPtr bio(BIO_new_mem_buf(own.key_pem.data(), static_cast<int>(own.key_pem.size())));
  const KeyPtr key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!key)
    return fail(ErrorCode::kCorrupt, "tls: the ", whose, "'s private key: ", openssl_reason());
  bool taken = SSL_CTX_use_certificate(context, chain[0].get()) == 1;
  for (std::size_t i = 1; taken && i < chain.size(); ++i)
    taken = SSL_CTX_add1_chain_cert(context, chain[i].get()) == 1;
  if (!taken || SSL_CTX_use_PrivateKey(context, key.get()) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return fail(ErrorCode::kCorrupt, "tls: the ", whose,
                "'s certificate and key: ", openssl_reason());
  }
  return {};
}

Result<void> trust(SSL_CTX* context, std::string_view authorities_pem) {
  const std::vector<CertificatePtr> authorities = read_certificates(authorities_pem);
  if (authorities.empty())
    return fail(ErrorCode::kCorrupt, "tls: the authority's file holds no certificate");
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const CertificatePtr& authority : authorities) {
    if (X509_STORE_add_cert(store, authority.get()) != 1)
      return fail(ErrorCode::kCorrupt, "tls: the authority's certificate: ", openssl_reason());
  }
  return {};
}

}  // namespace

std::int64_t steady_now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct TlsContext::State {
  MethodPtr method;
  ContextPtr context;
  std::vector<Sha256Digest> pins;
};

TlsContext::TlsContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsContext::TlsContext(TlsContext&&) noexcept = default;
TlsContext& TlsContext::operator=(TlsContext&&) noexcept = default;
TlsContext::~TlsContext() = default;

Result<TlsContext> TlsContext::server(std::string_view chain_pem, std::string_view key_pem,
                                      std::string_view client_authorities_pem) {
  auto state =
      std::make_unique<State>(State{make_socket_method(), make_context(TLS_server_method()), {}});
  if (!state->method || !state->context)
    return fail(ErrorCode::kFailedPrecondition, "tls: no TLS 1.3 here: ", openssl_reason());
  SSL_CTX* context = state->context.get();
  INK_CHECK_OK(use_credentials(context, {chain_pem, key_pem}, "server"));
  if (!client_authorities_pem.empty()) {
    INK_CHECK_OK(trust(context, client_authorities_pem));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return TlsContext(std::move(state));
}

Result<TlsContext> TlsContext::client(std::string_view authorities_pem,
                                      std::span<const std::string> pins, Credentials own) {
  INK_TRY(std::vector<Sha256Digest> digests, parse_pins(pins));
  auto state = std::make_unique<State>(
      State{make_socket_method(), make_context(TLS_client_method()), std::move(digests)});
  if (!state->method || !state->context)
    return fail(ErrorCode::kFailedPrecondition, "tls: no TLS 1.3 here: ", openssl_reason());
  INK_CHECK_OK(trust(state->context.get(), authorities_pem));
  if (!own.chain_pem.empty()) INK_CHECK_OK(use_credentials(state->context.get(), own, "client"));
  SSL_CTX_set_verify(state->context.get(), SSL_VERIFY_PEER, nullptr);
  return TlsContext(std::move(state));
}

struct TlsChannel::State {
  // Waits until OpenSSL's last answer can be tried again.
  Result<void> wait(int answer, std::int64_t deadline_ms, const char* what);

  int socket = -1;
  SslPtr ssl;
};

Result<void> TlsChannel::State::wait(int answer, std::int64_t deadline_ms, const char* what) {
  const int error = SSL_get_error(ssl.get(), answer);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
    return fail(ErrorCode::kNetwork, "tls: ", what, ": ", openssl_reason());
  const short events = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
  if (!wait_for(socket, events, deadline_ms))
    return fail(ErrorCode::kNetwork, "tls: ", what, ": deadline passed");
  return {};
}

TlsChannel::TlsChannel(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsChannel::TlsChannel(TlsChannel&&) noexcept = default;
TlsChannel& TlsChannel::operator=(TlsChannel&&) noexcept = default;
TlsChannel::~TlsChannel() = default;

Result<TlsChannel> TlsChannel::open(const TlsContext& context, int socket, std::int64_t deadline_ms,
                                    const std::string* host) {
  auto state = std::make_unique<State>();
  state->socket = socket;
  ERR_clear_error();
  const int flags = ::fcntl(socket, F_GETFL, 0);
  state->ssl.reset(SSL_new(context.state_->context.get()));
  BIO* bio = BIO_new(context.state_->method.get());
  if (flags < 0 || ::fcntl(socket, F_SETFL, flags | O_NONBLOCK) != 0 || !state->ssl ||
      bio == nullptr) {
    BIO_free(bio);
    return fail(ErrorCode::kNetwork, "tls: set up: ", openssl_reason());
  }
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket)));
  SSL* ssl = state->ssl.get();
  SSL_set_bio(ssl, bio, bio);
  if (host != nullptr && !expect_host(ssl, *host))
    return fail(ErrorCode::kNetwork, "tls: host \"", *host, "\": neither a name nor an address");
  for (;;) {
    const int answer = host != nullptr ? SSL_connect(ssl) : SSL_accept(ssl);
    if (answer == 1) break;
    if (const long verified = SSL_get_verify_result(ssl); verified != X509_V_OK) {
      ERR_clear_error();
      return fail(ErrorCode::kNetwork,
                  "tls: certificate verify failed: ", X509_verify_cert_error_string(verified));
    }
    INK_CHECK_OK(state->wait(answer, deadline_ms, "handshake"));
  }
  return TlsChannel(std::move(state));
}

Result<TlsChannel> TlsChannel::accept(const TlsContext& context, int socket,
                                      std::int64_t deadline_ms) {
  return open(context, socket, deadline_ms, nullptr);
}

Result<TlsChannel> TlsChannel::connect(const TlsContext& context, int socket,
                                       const std::string& host, std::int64_t deadline_ms) {
  INK_TRY(TlsChannel channel, open(context, socket, deadline_ms, &host));
  const std::vector<Sha256Digest>& pins = context.state_->pins;
  if (pins.empty()) return channel;
  const CertificatePtr certificate(SSL_get1_peer_certificate(channel.state_->ssl.get()));
  if (!certificate) return fail(ErrorCode::kNetwork, "tls: the server showed no certificate");
  INK_TRY(const Sha256Digest digest, key_digest(certificate.get()));
  if (std::find(pins.begin(), pins.end(), digest) == pins.end()) {
    return fail(ErrorCode::kNetwork, "tls: certificate verify failed: key ", kPinPrefix,
                to_hex(digest), " is not pinned");
  }
  return channel;
}

Result<std::size_t> TlsChannel::read(std::span<std::uint8_t> into, std::int64_t deadline_ms) {
  const int size = static_cast<int>(std::min<std::size_t>(into.size(), INT_MAX));
  for (;;) {
    ERR_clear_error();
    const int answer = SSL_read(state_->ssl.get(), into.data(), size);
    if (answer > 0) return static_cast<std::size_t>(answer);
    if (SSL_get_error(state_->ssl.get(), answer) == SSL_ERROR_ZERO_RETURN) return 0;
    INK_CHECK_OK(state_->wait(answer, deadline_ms, "read"));
  }
}

Result<void> TlsChannel::write(ByteSpan bytes, std::int64_t deadline_ms) {
  while (!bytes.empty()) {
    ERR_clear_error();
    const int size = static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX));
    const int answer = SSL_write(state_->ssl.get(), bytes.data(), size);
    if (answer > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(answer));
    } else {
      INK_CHECK_OK(state_->wait(answer, deadline_ms, "write"));
    }
  }
  return {};
}

bool TlsChannel::wait_readable(std::int64_t deadline_ms) {
  return SSL_pending(state_->ssl.get()) > 0 || wait_for(state_->socket, POLLIN, deadline_ms);
}

bool TlsChannel::is_idle() {
  ERR_clear_error();
  std::uint8_t byte = 0;
  const int answer = SSL_peek(state_->ssl.get(), &byte, 1);
  const bool idle = answer <= 0 && SSL_get_error(state_->ssl.get(), answer) == SSL_ERROR_WANT_READ;
  ERR_clear_error();
  return idle;
}

std::string TlsChannel::peer_name() const {
  const CertificatePtr certificate(SSL_get1_peer_certificate(state_->ssl.get()));
  if (!certificate) return {};
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  const ASN1_STRING* const name = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(name)),
          static_cast<std::size_t>(ASN1_STRING_length(name))};
}

void TlsChannel::close_gently(std::int64_t deadline_ms, std::size_t bytes_max) {
  ERR_clear_error();
  SSL_shutdown(state_->ssl.get());
  ERR_clear_error();
  ::shutdown(state_->socket, SHUT_WR);
  std::array<char, 16384> scrap{};
  for (std::size_t total = 0; total < bytes_max && wait_for(state_->socket, POLLIN, deadline_ms);) {
    const ssize_t n = ::recv(state_->socket, scrap.data(), scrap.size(), 0);
    if (n == 0 || (n < 0 && !would_block())) return;
    if (n > 0) total += static_cast<std::size_t>(n);
  }
}

}  // namespace inkling
