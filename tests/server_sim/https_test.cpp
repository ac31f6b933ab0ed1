#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "tests/server_sim/https_fixture.h"

namespace inkling {
namespace {

using testing::echo;
using testing::endpoint_of;
using testing::make_keys;
using testing::make_transport;
using testing::RawClient;
using testing::start_server;

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// Keys cost some milliseconds and are the same for every test.
class HttpsServerTest : public ::testing::Test {
 protected:
  void serve(HttpHandler handler = echo, const HttpsServerLimits& limits = {}) {
    server_ = start_server(keys_, std::move(handler), limits);
  }
  std::string talk(std::string_view request) {
    RawClient client(keys_, *server_);
    client.send(request);
    return client.read_all();
  }
  void expect_alive() {
    const auto answer =
        make_transport(endpoint_of(keys_, *server_))->exchange("/", as_bytes("ping"), 5000);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(as_text(*answer), "ping");
  }
  const testing::TestKeys keys_ = make_keys();
  std::unique_ptr<HttpsServer> server_;
};

TEST_F(HttpsServerTest, HandsTheRequestToTheHandlerAndItsAnswerBack) {
  HttpRequest seen;
  serve([&](const HttpRequest& request) {
    seen = request;
    return HttpResponse{.status = 409,
                        .content_type = "text/plain",
                        .body = {'n', 'o'},
                        .fields = {{"X-Round", "7"}}};
  });
  const std::string answer = talk(
      "POST /v1/a?b=c HTTP/1.1\r\nHost: a\r\nX-Id: 5\r\nConnection: close\r\nContent-Length: 3\r\n"
      "\r\nxyz");
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 409");
  EXPECT_NE(answer.find("X-Round: 7\r\n"), std::string::npos) << answer;
  EXPECT_NE(answer.find("Content-Type: text/plain\r\n"), std::string::npos) << answer;
  EXPECT_NE(answer.find("X-Content-Type-Options: nosniff\r\n"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nno")) << answer;
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.path, "/v1/a");
  EXPECT_EQ(seen.query, "b=c");
  EXPECT_EQ(seen.field("x-id"), "5");
  EXPECT_EQ(as_text(seen.body), "xyz");
  EXPECT_EQ(seen.peer, "127.0.0.1");
}

TEST_F(HttpsServerTest, ServesSeveralRequestsPerConnectionUpToTheLimit) {
  serve(echo, {.requests_per_connection_max = 3});
  RawClient client(keys_, *server_);
  client.send(std::string(kGet) + std::string(kGet));
  client.send(kGet);
  const std::string answers = client.read_all();
  std::size_t count = 0;
  for (std::size_t at = 0; (at = answers.find("HTTP/1.1 200", at)) != std::string::npos; ++at)
    ++count;
  EXPECT_EQ(count, 3u);
  EXPECT_NE(answers.find("Connection: close"), std::string::npos);
  EXPECT_EQ(server_->stats().connections, 1u);
}

TEST_F(HttpsServerTest, RefusesAChunkedBodyUnreadAndServesNothingAfterIt) {
  serve();
  const std::string answer = talk(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n"
      "\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nf");
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 411");
  EXPECT_EQ(answer.find("HTTP/1.1 200"), std::string::npos) << answer;
  EXPECT_EQ(server_->stats().requests, 0u);
}

TEST_F(HttpsServerTest, ReadsTheRequestAfterABody) {
  serve();
  const std::string answer = talk(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nf");
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 200");
  EXPECT_NE(answer.find("\r\n\r\nabcdeHTTP/1.1 200"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\nf")) << answer;
}

// What the library would decode or act upon by itself never reaches it.
TEST_F(HttpsServerTest, IgnoresRangesCompressionAndMultipartAndDecodesNothing) {
  HttpRequest seen;
  serve([&](const HttpRequest& request) {
    seen = request;
    return HttpResponse{.content_type = "text/plain", .body = Bytes(1000, 'x')};
  });
  const std::string answer = talk(
      "POST /a%0ab?c?d=%20#e HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nAccept-Encoding: gzip, "
      "br\r\n"
      "Content-Type: multipart/form-data; boundary=z\r\nX: a%0d%0ab\r\nLong: " +
      std::string(9000, 'y') + "\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 200") << answer;
  EXPECT_TRUE(answer.ends_with("\r\n\r\n" + std::string(1000, 'x'))) << answer;
  EXPECT_EQ(answer.find("Content-Encoding"), std::string::npos) << answer;
  EXPECT_EQ(seen.path, "/a%0ab");
  EXPECT_EQ(seen.query, "c?d=%20#e");
  EXPECT_EQ(seen.field("x"), "a%0d%0ab");
  EXPECT_EQ(seen.field("long").size(), 9000u);
  EXPECT_EQ(as_text(seen.body), "abc");
}

TEST_F(HttpsServerTest, SaysContinueBeforeItReadsTheBody) {
  serve();
  const std::string answer = talk(
      "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n"
      "Connection: close\r\n\r\nx");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")) << answer;
}

TEST_F(HttpsServerTest, NeverLetsAHandlerSplitItsAnswer) {
  serve([](const HttpRequest&) { return HttpResponse{.fields = {{"X", "y\r\nSet-Cookie: z"}}}; });
  const std::string answer = talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 500");
  EXPECT_EQ(answer.find("Set-Cookie"), std::string::npos) << answer;
}

TEST_F(HttpsServerTest, AnswersHeadWithoutBody) {
  serve([](const HttpRequest&) { return problem(404, "none"); });
  const std::string answer = talk("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 404");
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
}

TEST_F(HttpsServerTest, StreamsPiecesAsTheyComeAndNothingAfterThem) {
  std::mutex mutex;
  std::condition_variable wake;
  int allowed = 1;
  serve([&](const HttpRequest&) {
    HttpResponse response;
    response.content_type = "text/event-stream";
    response.next_piece = [&, given = 0]() mutable -> std::optional<Bytes> {
      std::unique_lock lock(mutex);
      if (given == 3) return std::nullopt;
      if (!wake.wait_for(lock, std::chrono::milliseconds(50), [&] { return given < allowed; }))
        return Bytes();
      const std::string piece = concat("piece ", ++given, "\n");
      return Bytes(piece.begin(), piece.end());
    };
    return response;
  });
  RawClient client(keys_, *server_);
  client.send(kGet);
  const std::string first = client.read_all(1000);
  EXPECT_NE(first.find("Transfer-Encoding: chunked"), std::string::npos) << first;
  EXPECT_NE(first.find("piece 1\n"), std::string::npos) << "held back: " << first;
  EXPECT_EQ(first.find("piece 2"), std::string::npos);
  {
    const std::scoped_lock lock(mutex);
    allowed = 3;
  }
  wake.notify_all();
  const std::string rest = client.read_all();
  EXPECT_EQ(rest, "8\r\npiece 2\n\r\n8\r\npiece 3\n\r\n0\r\n\r\n");
}

TEST_F(HttpsServerTest, EndsAStreamWhosePeerHasLeft) {
  std::atomic<int> asked = 0;
  std::atomic<bool> gone = false;
  serve([&](const HttpRequest&) {
    HttpResponse response;
    response.next_piece = [&, place = std::shared_ptr<void>(
                                  nullptr, [&](void*) { gone = true; })]() -> std::optional<Bytes> {
      ++asked;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      return Bytes();
    };
    return response;
  });
  {
    RawClient client(keys_, *server_);
    client.send(kGet);
    while (asked == 0) std::this_thread::yield();
    EXPECT_FALSE(gone);
  }
  const std::int64_t start_ms = steady_now_ms();
  while (!gone && steady_now_ms() - start_ms < 5000) std::this_thread::yield();
  EXPECT_TRUE(gone);
}

TEST_F(HttpsServerTest, HidesWhatAHandlerThrows) {
  serve([](const HttpRequest& request) -> HttpResponse {
    if (request.body.empty()) throw std::runtime_error("secret-canary");
    return echo(request);
  });
  const std::string answer = talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 500");
  EXPECT_EQ(answer.find("secret-canary"), std::string::npos) << answer;
  expect_alive();
}

TEST_F(HttpsServerTest, RefusesMalformedRequestsWithProblemJsonAndLivesOn) {
  serve(echo, {.head = {.body_bytes_max = 1000}, .head_ms = 300, .body_ms = 300});
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  const struct {
    std::string request;
    const char* status;
  } cases[] = {
      {"\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: y\nZ: w\r\n\r\n", "400"},
      {"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "405"},
      {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "505"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
      {"GET /" + std::string(512, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", "414"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20000, 'x') + "\r\n\r\n", "431"},
      {std::string(40000, 'x'), "431"},
      {"GET / HTTP/1.1\r\nHost:", "408"},
      {post + "\r\n", "411"},
      {post + "Content-Length: 1001\r\n\r\n", "413"},
      {post + "Content-Length: 5\r\n\r\nabc", "408"},
      {post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
      {post + "Content-Length: 4\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x01", "415"},
      {post + "Content-Length: 4\r\nExpect: more\r\n\r\nabcd", "417"},
      {chunked + "3\r\nabc\r\n0\r\n\r\n", "411"},
      {chunked + "3\r\nabcXX\r\n0\r\n\r\n", "411"},
      {chunked + "zz\r\nabc\r\n0\r\n\r\n", "411"},
      {chunked + "ffffffffffffffff\r\n" + std::string(30000, 'x'), "411"},
      {chunked + "-1\r\nabc\r\n0\r\n\r\n", "411"},
      {chunked + "3;" + std::string(30000, 'e') + "\r\nabc\r\n0\r\n\r\n", "411"},
      {chunked, "411"},
      {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
  };
  for (const auto& c : cases) {
    const std::string answer = talk(c.request);
    const std::string expected = std::string("HTTP/1.1 ") + c.status;
    EXPECT_EQ(answer.substr(0, expected.size()), expected) << c.request.substr(0, 80) << answer;
    EXPECT_NE(answer.find("application/problem+json"), std::string::npos)
        << c.request.substr(0, 80);
    EXPECT_NE(answer.find("Connection: close"), std::string::npos) << c.request.substr(0, 80);
    EXPECT_EQ(answer.find("HTTP/1.1 ", 8), std::string::npos) << "more than one answer" << answer;
  }
  EXPECT_EQ(server_->stats().requests, 0u);
  EXPECT_EQ(server_->stats().refusals, std::size(cases));
  expect_alive();
}

TEST_F(HttpsServerTest, HoldsTheBodyLimitAtItsBorder) {
  serve(echo, {.head = {.body_bytes_max = 100000}});
  for (const std::size_t size : {99999u, 100000u, 100001u}) {
    const std::string answer =
        talk(concat("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ", size,
                    "\r\n\r\n") +
             std::string(size, 'x'));
    EXPECT_EQ(answer.substr(9, 3), size <= 100000 ? "200" : "413") << size;
  }
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

TEST_F(HttpsServerTest, CutsAnEndlessChunkedBodyWithoutKeepingIt) {
  serve(echo, {.head = {.body_bytes_max = 1 << 20}});
  expect_alive();
  const std::size_t before = resident_bytes();
  RawClient client(keys_, *server_);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  std::size_t sent = 0;
  while (sent < (200u << 20) && client.send(chunk)) sent += chunk.size();
  // The limit, what lingering throws away, and what both sockets buffer.
  EXPECT_LT(sent, 24u << 20);
  EXPECT_LT(resident_bytes(), before + (32u << 20));
  EXPECT_EQ(server_->stats().refusals, 1u);
  expect_alive();
}

TEST_F(HttpsServerTest, BoundsTheBodiesOfAllRequestsTogether) {
  serve(echo, {.bodies_bytes_max = 1000});
  const auto transport = make_transport(endpoint_of(keys_, *server_));
  EXPECT_TRUE(transport->exchange("/", Bytes(1000), 5000));
  const auto refused = transport->exchange("/", Bytes(1001), 5000);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("HTTP 503"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(transport->exchange("/", Bytes(1000), 5000));
}

TEST_F(HttpsServerTest, SlowConnectionsBeyondThePoolDoNotStopAnother) {
  serve(echo, {.workers_max = 4, .handshake_ms = 500, .head_ms = 500});
  std::vector<std::unique_ptr<RawClient>> slow_heads;
  std::vector<Socket> silent;
  for (int i = 0; i < 4; ++i) {
    slow_heads.push_back(std::make_unique<RawClient>(keys_, *server_));
    slow_heads.back()->send("GET / HT");
    silent.push_back(connect_tcp("127.0.0.1", server_->port(), steady_now_ms() + 1000).value());
  }
  const std::int64_t start_ms = steady_now_ms();
  expect_alive();
  EXPECT_LT(steady_now_ms() - start_ms, 3000);
}

TEST_F(HttpsServerTest, IdleConnectionsGiveWayToThoseThatWait) {
  serve(echo, {.workers_max = 1, .idle_ms = 60000});
  RawClient idle(keys_, *server_);
  idle.send(kGet);
  const std::int64_t start_ms = steady_now_ms();
  expect_alive();
  EXPECT_LT(steady_now_ms() - start_ms, 5000);
}

TEST_F(HttpsServerTest, AFullLineGetsAnImmediate503) {
  std::mutex mutex;
  std::condition_variable wake;
  bool open = false;
  serve(
      [&](const HttpRequest& request) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return open; });
        return echo(request);
      },
      {.workers_max = 1, .waiting_max = 1});
  RawClient busy(keys_, *server_);
  busy.send(kGet);
  while (server_->stats().requests == 0) std::this_thread::yield();
  const Socket waiting = connect_tcp("127.0.0.1", server_->port(), steady_now_ms() + 1000).value();
  const std::string answer = talk(kGet);
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 503");
  EXPECT_NE(answer.find("Retry-After: "), std::string::npos);
  EXPECT_EQ(server_->stats().turned_away, 1u);
  {
    const std::scoped_lock lock(mutex);
    open = true;
  }
  wake.notify_all();
}

TEST_F(HttpsServerTest, CapsConnectionsPerPeerAndGivesPlacesBack) {
  TlsContext context =
      TlsContext::server(keys_.server.certificate_pem, keys_.server.key_pem.reveal()).value();
  server_ =
      HttpsServer::start(std::move(context), {.limits = {.connections_per_peer_max = 2}}, echo)
          .value();
  {
    RawClient one(keys_, *server_), two(keys_, *server_);
    const auto refused = make_transport(endpoint_of(keys_, *server_))->exchange("/", {}, 2000);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kNetwork);
    EXPECT_EQ(server_->stats().turned_away, 1u);
  }
  const std::int64_t deadline_ms = steady_now_ms() + 5000;
  Result<Bytes> answer;
  do {
    answer = make_transport(endpoint_of(keys_, *server_))->exchange("/", {}, 2000);
  } while (!answer && steady_now_ms() < deadline_ms);
  EXPECT_TRUE(answer);
}

TEST_F(HttpsServerTest, TwoHundredClientsMayWaitAtOnce) {
  constexpr int kClients = 200;
  std::mutex mutex;
  std::condition_variable wake;
  int arrived = 0;
  serve([&](const HttpRequest& request) {
    std::unique_lock lock(mutex);
    if (++arrived == kClients) wake.notify_all();
    wake.wait_for(lock, std::chrono::seconds(20), [&] { return arrived >= kClients; });
    return echo(request);
  });
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] {
      const std::string text = concat("client ", i);
      const auto answer =
          make_transport(endpoint_of(keys_, *server_))->exchange("/", as_bytes(text), 30000);
      if (answer && as_text(*answer) == text) ++right;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, kClients);
  EXPECT_EQ(arrived, kClients);
}

TEST_F(HttpsServerTest, StopLetsARunningHandlerAnswerAndWakesIdleConnections) {
  std::atomic<bool> entered{false}, leave{false};
  serve(
      [&](const HttpRequest& request) {
        entered = true;
        while (!leave) std::this_thread::yield();
        return echo(request);
      },
      {.idle_ms = 60000});
  RawClient idle(keys_, *server_);
  RawClient busy(keys_, *server_);
  busy.send(kGet);
  while (!entered) std::this_thread::yield();
  std::thread stopper([&] { server_->stop(); });
  leave = true;
  EXPECT_EQ(busy.read_all().substr(0, 12), "HTTP/1.1 200");
  const std::int64_t start_ms = steady_now_ms();
  stopper.join();
  EXPECT_LT(steady_now_ms() - start_ms, 3000);
  EXPECT_EQ(idle.read_all(), "");
}

TEST_F(HttpsServerTest, NamesAnAddressThatItCannotHave) {
  serve();
  TlsContext context =
      TlsContext::server(keys_.server.certificate_pem, keys_.server.key_pem.reveal()).value();
  const auto taken = HttpsServer::start(std::move(context), {.port = server_->port()}, echo);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kNetwork);
  EXPECT_NE(taken.error().message.find(concat("127.0.0.1:", server_->port())), std::string::npos);
}

}  // namespace
}  // namespace inkling
