#include "server-sim/https/request_head.h"

#include <gtest/gtest.h>

namespace inkling {
namespace {

const std::string kHost = "Host: a\r\n";

int status_of(const std::string& head, const RequestHeadLimits& limits = {}) {
  const auto checked = check_request_head(head, limits);
  return checked ? 200 : checked.error().status;
}

struct Case {
  const char* why;
  std::string head;
  int status;
};

std::vector<Case> cases() {
  const std::string get = "GET / HTTP/1.1\r\n" + kHost;
  const std::string post = "POST / HTTP/1.1\r\n" + kHost;
  const std::string end = "\r\n";
  return {
      {"plain GET", get + end, 200},
      {"HEAD", "HEAD / HTTP/1.1\r\n" + kHost + end, 200},
      {"POST with length", post + "Content-Length: 3\r\n" + end, 200},
      {"POST of nothing", post + "Content-Length: 0\r\n" + end, 200},
      {"POST chunked", post + "Transfer-Encoding: chunked\r\n" + end, 411},
      {"chunked in capitals", post + "transfer-encoding: CHUNKED\r\n" + end, 411},
      {"identity is no encoding", get + "Content-Encoding: identity\r\n" + end, 200},
      {"bytes above ASCII in a value", get + "X: \xc3\xa4\r\n" + end, 200},
      {"empty value", get + "X:\r\n" + end, 200},
      {"nothing", end, 400},
      {"no target", "GET\r\n" + kHost + end, 400},
      {"no version", "GET /\r\n" + kHost + end, 400},
      {"two spaces", "GET  / HTTP/1.1\r\n" + kHost + end, 400},
      {"space in target", "GET /a b HTTP/1.1\r\n" + kHost + end, 400},
      {"tab in target", "GET /a\tb HTTP/1.1\r\n" + kHost + end, 400},
      {"NUL in target", std::string("GET /\0 HTTP/1.1\r\n", 17) + kHost + end, 400},
      {"DEL in target", "GET /\x7f HTTP/1.1\r\n" + kHost + end, 400},
      {"byte above ASCII in target", "GET /\xff HTTP/1.1\r\n" + kHost + end, 400},
      {"absolute target", "GET http://a/ HTTP/1.1\r\n" + kHost + end, 400},
      {"asterisk target", "OPTIONS * HTTP/1.1\r\n" + kHost + end, 400},
      {"method with a colon", "GE:T / HTTP/1.1\r\n" + kHost + end, 400},
      {"empty method", " / HTTP/1.1\r\n" + kHost + end, 400},
      {"leading empty line", "\r\n" + get + end, 400},
      {"DELETE", "DELETE / HTTP/1.1\r\n" + kHost + end, 405},
      {"PUT", "PUT / HTTP/1.1\r\n" + kHost + "Content-Length: 1\r\n" + end, 405},
      {"TRACE", "TRACE / HTTP/1.1\r\n" + kHost + end, 405},
      {"lower-case method", "get / HTTP/1.1\r\n" + kHost + end, 405},
      {"HTTP/1.0", "GET / HTTP/1.0\r\n" + kHost + end, 505},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n" + end, 505},
      {"HTTP/1.10", "GET / HTTP/1.10\r\n" + kHost + end, 400},
      {"version of another protocol", "GET / ICAP/1.1\r\n" + kHost + end, 400},
      {"no host", "GET / HTTP/1.1\r\n" + end, 400},
      {"two hosts", get + kHost + end, 400},
      {"empty host", "GET / HTTP/1.1\r\nHost:\r\n" + end, 400},
      {"field without colon", get + "nonsense\r\n" + end, 400},
      {"space before colon", get + "X : y\r\n" + end, 400},
      {"empty name", get + ": y\r\n" + end, 400},
      {"folded line", get + "X: y\r\n z\r\n" + end, 400},
      {"folded with a tab", get + "X: y\r\n\tz\r\n" + end, 400},
      {"bare LF", get + "X: y\nZ: w\r\n" + end, 400},
      {"bare CR", get + "X: y\rZ: w\r\n" + end, 400},
      {"NUL in value", get + std::string("X: \0\r\n", 6) + end, 400},
      {"control in value", get + "X: \x01\r\n" + end, 400},
      {"bytes above ASCII in a name", get + "X\xc3\xa4: y\r\n" + end, 400},
      {"negative length", post + "Content-Length: -1\r\n" + end, 400},
      {"signed length", post + "Content-Length: +1\r\n" + end, 400},
      {"hexadecimal length", post + "Content-Length: 0x10\r\n" + end, 400},
      {"length with junk", post + "Content-Length: 1a\r\n" + end, 400},
      {"empty length", post + "Content-Length:\r\n" + end, 400},
      {"list of lengths", post + "Content-Length: 1, 1\r\n" + end, 400},
      {"two equal lengths", post + "Content-Length: 1\r\nContent-Length: 1\r\n" + end, 400},
      {"length past 64 bits", post + "Content-Length: 99999999999999999999\r\n" + end, 413},
      {"length and chunked", post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n" + end,
       400},
      {"chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" + end,
       400},
      {"chunked over gzip", post + "Transfer-Encoding: gzip, chunked\r\n" + end, 501},
      {"unknown coding", post + "Transfer-Encoding: xchunked\r\n" + end, 501},
      {"gzip body", post + "Content-Length: 1\r\nContent-Encoding: gzip\r\n" + end, 415},
      {"brotli body", post + "Content-Length: 1\r\nContent-Encoding: br\r\n" + end, 415},
      {"two encodings",
       post +
           "Content-Length: 1\r\nContent-Encoding: identity\r\n"
           "Content-Encoding: gzip\r\n" +
           end,
       400},
      {"POST without length", post + end, 411},
      {"GET with a body", get + "Content-Length: 1\r\n" + end, 400},
      {"GET chunked", get + "Transfer-Encoding: chunked\r\n" + end, 400},
      {"unknown expectation", post + "Content-Length: 1\r\nExpect: wonders\r\n" + end, 417},
      {"two authorizations", get + "Authorization: a\r\nAuthorization: b\r\n" + end, 400},
  };
}

TEST(RequestHead, AcceptsOrRefusesEachCaseWithItsStatus) {
  for (const Case& c : cases()) EXPECT_EQ(status_of(c.head), c.status) << c.why;
}

TEST(RequestHead, SplitsTheTargetAndLowersFieldNames) {
  const auto head = check_request_head(
      "POST /v1/a?x=1&y HTTP/1.1\r\nHost: h:1\r\nX-Device:  Ab c \r\nContent-Length: 7\r\n"
      "Connection: Close\r\n\r\n",
      {});
  ASSERT_TRUE(head);
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->path, "/v1/a");
  EXPECT_EQ(head->query, "x=1&y");
  EXPECT_EQ(head->fields[1], std::make_pair(std::string("x-device"), std::string("Ab c")));
  EXPECT_EQ(head->content_length, 7u);
  EXPECT_TRUE(head->closes);
}

TEST(RequestHead, HoldsEachLimitAtItsBorder) {
  const RequestHeadLimits limits{.target_bytes_max = 8, .fields_max = 2, .body_bytes_max = 10};
  const auto target = [](std::size_t size) {
    return "GET /" + std::string(size - 1, 'a') + " HTTP/1.1\r\n" + kHost + "\r\n";
  };
  EXPECT_EQ(status_of(target(8), limits), 200);
  EXPECT_EQ(status_of(target(9), limits), 414);
  const std::string get = "GET / HTTP/1.1\r\n" + kHost;
  EXPECT_EQ(status_of(get + "A: b\r\n\r\n", limits), 200);
  EXPECT_EQ(status_of(get + "A: b\r\nC: d\r\n\r\n", limits), 431);
  const std::string post = "POST / HTTP/1.1\r\n" + kHost;
  EXPECT_EQ(status_of(post + "Content-Length: 10\r\n\r\n", limits), 200);
  EXPECT_EQ(status_of(post + "Content-Length: 11\r\n\r\n", limits), 413);
}

}  // namespace
}  // namespace inkling
