#include "federated/http/https_transport.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "tests/server_sim/https_fixture.h"

namespace inkling {
namespace {

using testing::echo;
using testing::endpoint_of;
using testing::make_keys;
using testing::make_transport;
using testing::start_server;
using testing::valid_now;

constexpr std::int64_t kTimeoutMs = 5000;

// Fails with this code in one line that holds these words; the handler never saw a request.
void expect_refused(const HttpsEndpoint& endpoint, ErrorCode code, std::string_view words) {
  const auto answer = make_transport(endpoint)->exchange("/", as_bytes("secret"), kTimeoutMs);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, code) << answer.error().message;
  EXPECT_NE(answer.error().message.find(words), std::string::npos) << answer.error().message;
  EXPECT_EQ(answer.error().message.find('\n'), std::string::npos);
}

TEST(HttpsTransport, EchoesBodiesOfManySizesOverOneConnection) {
  const auto keys = make_keys();
  const auto server = start_server(keys, echo);
  const auto transport = make_transport(endpoint_of(keys, *server));
  for (const std::size_t size : {0u, 1u, 16383u, 16384u, 16385u, 3000000u}) {
    Bytes body(size);
    for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<std::uint8_t>(i * 31 + i / 251);
    const auto answer = transport->exchange("/v1/echo", body, kTimeoutMs);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_TRUE(*answer == body) << size;
  }
  EXPECT_EQ(server->stats().connections, 1u);
}

TEST(HttpsTransport, SendsTheBearerTokenAndThePath) {
  const auto keys = make_keys();
  HttpRequest seen;
  const auto server = start_server(keys, [&](const HttpRequest& request) {
    seen = request;
    return HttpResponse{};
  });
  HttpsEndpoint endpoint = endpoint_of(keys, *server);
  endpoint.bearer_token = "abc";
  ASSERT_TRUE(make_transport(endpoint)->exchange("/v1/join?x=1", {}, kTimeoutMs));
  EXPECT_EQ(seen.path, "/v1/join");
  EXPECT_EQ(seen.field("authorization"), "Bearer abc");
  EXPECT_EQ(seen.field("host"), concat("127.0.0.1:", server->port()));
}

TEST(HttpsTransport, RefusesAnotherAuthorityInOneClearLine) {
  const auto keys = make_keys();
  const auto server = start_server(keys, echo);
  HttpsEndpoint endpoint = endpoint_of(keys, *server);
  endpoint.authorities_pem = make_keys().authority.certificate_pem;
  expect_refused(endpoint, ErrorCode::kNetwork,
                 concat("tls: 127.0.0.1:", server->port(), ": certificate verify failed: "));
  EXPECT_EQ(server->stats().requests, 0u);
}

// OpenSSL reads its default authorities from this file.
TEST(HttpsTransport, TrustsNoAuthorityOfTheSystem) {
  const auto keys = make_keys();
  const auto server = start_server(keys, echo);
  const std::string path = ::testing::TempDir() + "system_authorities.pem";
  std::ofstream(path) << keys.authority.certificate_pem;
  ASSERT_EQ(::setenv("SSL_CERT_FILE", path.c_str(), 1), 0);
  HttpsEndpoint endpoint = endpoint_of(keys, *server);
  endpoint.authorities_pem = make_keys().authority.certificate_pem;
  expect_refused(endpoint, ErrorCode::kNetwork, "certificate verify failed: ");
  ::unsetenv("SSL_CERT_FILE");
  std::remove(path.c_str());
}

TEST(HttpsTransport, RefusesACertificateForAnotherHost) {
  const auto keys = make_keys({"example.org", "10.0.0.1"});
  const auto server = start_server(keys, echo);
  HttpsEndpoint endpoint = endpoint_of(keys, *server);
  expect_refused(endpoint, ErrorCode::kNetwork, "certificate verify failed: IP address mismatch");
  endpoint.host = "localhost";
  expect_refused(endpoint, ErrorCode::kNetwork, "certificate verify failed: hostname mismatch");
  EXPECT_EQ(server->stats().requests, 0u);
}

TEST(HttpsTransport, RefusesAnExpiredCertificateAndOneFromTheFuture) {
  const std::int64_t now_s = SystemClock().unix_ms() / 1000;
  const auto expired = make_keys({"127.0.0.1"}, {now_s - 7200, now_s - 3600});
  const auto old_server = start_server(expired, echo);
  expect_refused(endpoint_of(expired, *old_server), ErrorCode::kNetwork,
                 "certificate verify failed: certificate has expired");
  const auto early = make_keys({"127.0.0.1"}, {now_s + 3600, now_s + 7200});
  const auto early_server = start_server(early, echo);
  expect_refused(endpoint_of(early, *early_server), ErrorCode::kNetwork,
                 "certificate verify failed: certificate is not yet valid");
}

TEST(HttpsTransport, AcceptsAPinnedKeyAndNoOther) {
  const auto keys = make_keys();
  const auto server = start_server(keys, echo);
  HttpsEndpoint endpoint = endpoint_of(keys, *server);
  const std::string other = *certificate_pin(make_keys().server.certificate_pem);
  endpoint.pins = {other};
  expect_refused(endpoint, ErrorCode::kNetwork, "is not pinned");
  endpoint.pins = {other, *certificate_pin(keys.server.certificate_pem)};
  EXPECT_TRUE(make_transport(endpoint)->exchange("/", {}, kTimeoutMs));
  EXPECT_EQ(server->stats().requests, 1u);
}

TEST(HttpsTransport, ShowsItsCertificateToAServerThatAsks) {
  const auto keys = make_keys();
  const auto device = issue_client_certificate(keys.authority, "0a0b", valid_now()).value();
  const auto stranger =
      issue_client_certificate(make_keys().authority, "0a0b", valid_now()).value();
  const std::int64_t now_s = SystemClock().unix_ms() / 1000;
  const auto expired =
      issue_client_certificate(keys.authority, "0a0b", {now_s - 7200, now_s - 3600}).value();
  TlsContext context = TlsContext::server(keys.server.certificate_pem, keys.server.key_pem.reveal(),
                                          keys.authority.certificate_pem)
                           .value();
  std::string name;
  const auto server = HttpsServer::start(std::move(context), {}, [&](const HttpRequest& request) {
                        name = request.certificate_name;
                        return echo(request);
                      }).value();
  const auto with = [&](const CertifiedKey& shown) {
    HttpsEndpoint endpoint = endpoint_of(keys, *server);
    endpoint.certificate_pem = shown.certificate_pem;
    endpoint.key_pem = shown.key_pem.reveal();
    return endpoint;
  };
  EXPECT_TRUE(make_transport(with(device))->exchange("/", {}, kTimeoutMs));
  EXPECT_EQ(name, "0a0b");
  const HttpsEndpoint refused[] = {endpoint_of(keys, *server), with(stranger), with(expired),
                                   with(keys.server)};  // a server's certificate is no client's
  for (const HttpsEndpoint& endpoint : refused) {
    const auto answer = make_transport(endpoint)->exchange("/", {}, kTimeoutMs);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::kNetwork) << answer.error().message;
  }
  EXPECT_EQ(server->stats().requests, 1u);
  HttpsEndpoint mixed = with(device);
  mixed.key_pem = stranger.key_pem.reveal();
  const auto made = HttpsTransport::create(mixed);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kCorrupt);
  for (const char* const bad : {"", "a b", "a/b", "-a"})
    EXPECT_FALSE(issue_client_certificate(keys.authority, bad, valid_now())) << bad;
}

// What a client that offers at most this version and these groups gets to speak.
std::string negotiated_version(const HttpsServer& server, int version, const char* groups) {
  const Socket socket =
      connect_tcp("127.0.0.1", server.port(), steady_now_ms() + kTimeoutMs).value();
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_max_proto_version(context, version);
  SSL_CTX_set1_groups_list(context, groups);
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, socket.get());
  int answer = 0;
  for (const std::int64_t end = steady_now_ms() + kTimeoutMs; steady_now_ms() < end;) {
    answer = SSL_connect(ssl);
    const int error = SSL_get_error(ssl, answer);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) break;
    std::this_thread::yield();
  }
  const std::string got = answer == 1 ? SSL_get_version(ssl) : "none";
  SSL_free(ssl);
  SSL_CTX_free(context);
  return got;
}

TEST(HttpsTransport, TheServerSpeaksTls13WithItsGroupsAndNothingElse) {
  const auto keys = make_keys();
  const auto server = start_server(keys, echo);
  EXPECT_EQ(negotiated_version(*server, TLS1_3_VERSION, "X25519"), "TLSv1.3");
  EXPECT_EQ(negotiated_version(*server, TLS1_3_VERSION, "P-256"), "TLSv1.3");
  EXPECT_EQ(negotiated_version(*server, TLS1_3_VERSION, "P-521"), "none");
  EXPECT_EQ(negotiated_version(*server, TLS1_2_VERSION, "X25519"), "none");
}

TEST(HttpsTransport, TurnsStatusesIntoCodesAndCarriesTheDetail) {
  const auto keys = make_keys();
  int status = 0;
  const auto server =
      start_server(keys, [&](const HttpRequest&) { return problem(status, "round 7\nis over"); });
  const auto transport = make_transport(endpoint_of(keys, *server));
  const std::pair<int, ErrorCode> cases[] = {{400, ErrorCode::kProtocol},
                                             {401, ErrorCode::kVerification},
                                             {403, ErrorCode::kVerification},
                                             {404, ErrorCode::kNotFound},
                                             {409, ErrorCode::kFailedPrecondition},
                                             {413, ErrorCode::kResourceLimit},
                                             {422, ErrorCode::kProtocol},
                                             {429, ErrorCode::kNetwork},
                                             {500, ErrorCode::kNetwork},
                                             {503, ErrorCode::kNetwork}};
  for (const auto& [sent, code] : cases) {
    status = sent;
    const auto answer = transport->exchange("/v1/x", {}, kTimeoutMs);
    ASSERT_FALSE(answer) << sent;
    EXPECT_EQ(answer.error().code, code) << sent;
    EXPECT_EQ(answer.error().message, concat("https://127.0.0.1:", server->port(), "/v1/x: HTTP ",
                                             sent, ": round 7 is over"));
  }
}

TEST(HttpsTransport, LearnsWhyALongBodyWasRefusedEarly) {
  const auto keys = make_keys();
  const auto server = start_server(keys, echo, {.head = {.body_bytes_max = 1000}});
  const auto answer =
      make_transport(endpoint_of(keys, *server))->exchange("/", Bytes(20 << 20), kTimeoutMs);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kResourceLimit) << answer.error().message;
  EXPECT_NE(answer.error().message.find("HTTP 413: body: limit 1000 bytes"), std::string::npos);
}

TEST(HttpsTransport, StopsAtTheLimitOfTheAnswer) {
  const auto keys = make_keys();
  const auto server = start_server(keys, echo);
  HttpsEndpoint endpoint = endpoint_of(keys, *server);
  endpoint.response_bytes_max = 1000;
  const auto transport = make_transport(endpoint);
  EXPECT_TRUE(transport->exchange("/", Bytes(1000), kTimeoutMs));
  for (const std::size_t size : {1001u, 1000000u}) {
    const auto answer = transport->exchange("/", Bytes(size), kTimeoutMs);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::kResourceLimit) << answer.error().message;
  }
  EXPECT_TRUE(transport->exchange("/", Bytes(1000), kTimeoutMs)) << "a new connection works";
}

TEST(HttpsTransport, GivesUpAtTheDeadlineAndWorksAgainAfterwards) {
  const auto keys = make_keys();
  const auto server = start_server(keys, [](const HttpRequest& request) {
    if (request.path == "/slow") std::this_thread::sleep_for(std::chrono::milliseconds(800));
    return echo(request);
  });
  const auto transport = make_transport(endpoint_of(keys, *server));
  const std::int64_t start_ms = steady_now_ms();
  const auto late = transport->exchange("/slow", as_bytes("a"), 200);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kNetwork);
  EXPECT_NE(late.error().message.find("deadline passed"), std::string::npos);
  EXPECT_LT(steady_now_ms() - start_ms, 700);
  const auto answer = transport->exchange("/", as_bytes("b"), kTimeoutMs);
  ASSERT_TRUE(answer) << "an answer that came too late must not be taken for the next one";
  EXPECT_EQ(as_text(*answer), "b");
}

TEST(HttpsTransport, ReplacesAConnectionThatTheServerClosedMeanwhile) {
  const auto keys = make_keys();
  const auto server = start_server(keys, echo, {.requests_per_connection_max = 100, .idle_ms = 50});
  const auto transport = make_transport(endpoint_of(keys, *server));
  ASSERT_TRUE(transport->exchange("/", {}, kTimeoutMs));
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  EXPECT_TRUE(transport->exchange("/", {}, kTimeoutMs));
  EXPECT_EQ(server->stats().connections, 2u);
}

TEST(HttpsTransport, NamesAServerThatIsNotThere) {
  const auto keys = make_keys();
  auto server = start_server(keys, echo);
  const HttpsEndpoint endpoint = endpoint_of(keys, *server);
  server.reset();
  expect_refused(endpoint, ErrorCode::kNetwork,
                 concat("connect 127.0.0.1:", endpoint.port, ": Connection refused"));
}

TEST(HttpsTransport, RefusesEndpointsAndPathsThatCanNeverWork) {
  const std::string pem = make_keys().authority.certificate_pem;
  const auto code = [](HttpsEndpoint endpoint) {
    const auto made = HttpsTransport::create(std::move(endpoint));
    return made ? std::string_view("made") : error_code_name(made.error().code);
  };
  EXPECT_EQ(code({.host = "h", .authorities_pem = pem}), "made");
  EXPECT_EQ(code({.host = "", .authorities_pem = pem}), "invalid argument");
  EXPECT_EQ(code({.host = "a\r\nb", .authorities_pem = pem}), "invalid argument");
  EXPECT_EQ(code({.host = "h", .port = 0, .authorities_pem = pem}), "invalid argument");
  EXPECT_EQ(code({.host = "h", .authorities_pem = "junk"}), "corrupt");
  EXPECT_EQ(code({.host = "h", .authorities_pem = pem, .pins = {"sha256/12"}}), "invalid argument");
  EXPECT_EQ(code({.host = "h", .authorities_pem = pem, .bearer_token = "a b"}), "invalid argument");
  const auto transport = make_transport({.host = "h", .authorities_pem = pem});
  for (const char* path : {"", "x", "/a b", "/a\r\nX: y"})
    EXPECT_EQ(transport->exchange(path, {}, 100).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace inkling
