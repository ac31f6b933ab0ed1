// A server that holds a valid certificate and answers whatever it likes.

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <thread>

#include "tests/server_sim/https_fixture.h"

namespace inkling {
namespace {

// Serves one connection: reads a request head, writes the answer, closes.
class ScriptedServer {
 public:
  ScriptedServer(const testing::TestKeys& keys, std::string answer)
      : context_(
            TlsContext::server(keys.server.certificate_pem, keys.server.key_pem.reveal()).value()),
        listener_(listen_tcp("127.0.0.1", 0, 1).value()),
        answer_(std::move(answer)),
        thread_([this] { serve(); }) {}
  ~ScriptedServer() { thread_.join(); }
  std::uint16_t port() const { return local_port(listener_); }

 private:
  void serve() {
    const std::int64_t deadline_ms = steady_now_ms() + 5000;
    pollfd entry{.fd = listener_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, 5000) != 1) return;
    const Socket socket(::accept(listener_.get(), nullptr, nullptr));
    auto channel = TlsChannel::accept(context_, socket.get(), deadline_ms);
    if (!channel) return;
    MessageStream messages(*channel);
    if (!messages.read_head(100000, deadline_ms)) return;
    if (channel->write(as_bytes(answer_), deadline_ms))
      channel->close_gently(steady_now_ms() + 1000, 100000);
  }

  TlsContext context_;
  Socket listener_;
  std::string answer_;
  std::thread thread_;
};

struct Case {
  const char* why;
  std::string answer;
  std::optional<ErrorCode> code;  // nothing: the answer is "abc"
};

std::vector<Case> cases() {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";
  const auto network = ErrorCode::kNetwork;
  const auto protocol = ErrorCode::kProtocol;
  const auto limit = ErrorCode::kResourceLimit;
  return {
      {"a length", ok + "Content-Length: 3\r\n\r\nabc", {}},
      {"to the end of the connection", ok + "\r\nabc", {}},
      {"status without reason", "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", {}},
      {"after 100 and 103",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok +
           "Content-Length: 3\r\n\r\nabc",
       {}},
      {"nothing", "", network},
      {"half a head", "HTTP/1.1 200 OK\r\nContent-", network},
      {"half a body", ok + "Content-Length: 10\r\n\r\nabc", network},
      {"not HTTP", "SSH-2.0-x\r\n\r\n", protocol},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nabc", protocol},
      {"status of four digits", "HTTP/1.1 2000\r\n\r\n", protocol},
      {"status of letters", "HTTP/1.1 abc\r\n\r\n", protocol},
      {"malformed field", ok + "X : y\r\nContent-Length: 3\r\n\r\nabc", protocol},
      {"length and chunked", ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
       protocol},
      {"unknown coding", ok + "Transfer-Encoding: gzip\r\n\r\nabc", protocol},
      {"negative length", ok + "Content-Length: -3\r\n\r\nabc", protocol},
      {"chunks", chunked + "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", protocol},
      {"half a chunk", chunked + "5\r\nabc", protocol},
      {"chunk with another end", chunked + "3\r\nabcXX\r\n0\r\n\r\n", protocol},
      {"chunked in capitals", ok + "TRANSFER-ENCODING: Chunked\r\n\r\n0\r\n\r\n", protocol},
      {"gzip", ok + "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08", protocol},
      {"two lengths", ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", protocol},
      {"redirect", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", protocol},
      {"length over the limit", ok + "Content-Length: 1001\r\n\r\nabc", limit},
      {"length past 64 bits", ok + "Content-Length: 99999999999999999999\r\n\r\nabc", limit},
      {"chunks over the limit", chunked + "3e9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n",
       protocol},
      {"endless to the close", ok + "\r\n" + std::string(100000, 'x'), limit},
      {"endless head", ok + "X: " + std::string(100000, 'x'), limit},
      {"too many fields",
       ok +
           [] {
             std::string fields;
             for (int i = 0; i < 65; ++i) fields += "X: y\r\n";
             return fields;
           }() +
           "\r\n",
       limit},
  };
}

TEST(HostileServer, EveryAnswerIsWholeOrATypedErrorInOneLine) {
  const auto keys = testing::make_keys();
  for (const Case& c : cases()) {
    const ScriptedServer server(keys, c.answer);
    const auto transport =
        testing::make_transport({.host = "127.0.0.1",
                                 .port = server.port(),
                                 .authorities_pem = keys.authority.certificate_pem,
                                 .response_bytes_max = 1000});
    const auto answer = transport->exchange("/x", as_bytes("q"), 5000);
    if (!c.code) {
      ASSERT_TRUE(answer) << c.why << ": " << answer.error().message;
      EXPECT_EQ(as_text(*answer), "abc") << c.why;
      continue;
    }
    ASSERT_FALSE(answer) << c.why;
    EXPECT_EQ(answer.error().code, *c.code) << c.why << ": " << answer.error().message;
    EXPECT_EQ(answer.error().message.find_first_of("\r\n"), std::string::npos) << c.why;
  }
}

TEST(HostileServer, DrippingAHandshakeDoesNotOutlastTheDeadline) {
  const Socket listener = listen_tcp("127.0.0.1", 0, 1).value();
  std::thread thread([&] {
    const Socket socket(::accept(listener.get(), nullptr, nullptr));
    std::string_view record("\x16\x03\x03\x3f\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    for (; !record.empty(); record.remove_prefix(1)) {
      if (::send(socket.get(), record.data(), 1, MSG_NOSIGNAL) != 1) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  });
  const std::int64_t start_ms = steady_now_ms();
  const auto answer =
      testing::make_transport({.host = "127.0.0.1",
                               .port = local_port(listener),
                               .authorities_pem = testing::make_keys().authority.certificate_pem})
          ->exchange("/", {}, 300);
  EXPECT_LT(steady_now_ms() - start_ms, 1000);
  thread.join();
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("deadline passed"), std::string::npos);
}

TEST(HostileServer, ConnectionCutWithoutCloseNotifyIsNotTheEndOfABody) {
  const auto keys = testing::make_keys();
  TlsContext context =
      TlsContext::server(keys.server.certificate_pem, keys.server.key_pem.reveal()).value();
  Socket listener = listen_tcp("127.0.0.1", 0, 1).value();
  std::thread thread([&] {
    pollfd entry{.fd = listener.get(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, 5000) != 1) return;
    const Socket socket(::accept(listener.get(), nullptr, nullptr));
    auto channel = TlsChannel::accept(context, socket.get(), steady_now_ms() + 5000);
    if (!channel) return;
    MessageStream messages(*channel);
    if (!messages.read_head(100000, steady_now_ms() + 5000)) return;
    if (channel->write(as_bytes("HTTP/1.1 200 OK\r\n\r\nabc"), steady_now_ms() + 5000))
      ::shutdown(socket.get(), SHUT_WR);
  });
  const auto transport =
      testing::make_transport({.host = "127.0.0.1",
                               .port = local_port(listener),
                               .authorities_pem = keys.authority.certificate_pem});
  const auto answer = transport->exchange("/x", {}, 5000);
  thread.join();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kNetwork) << answer.error().message;
}

}  // namespace
}  // namespace inkling
