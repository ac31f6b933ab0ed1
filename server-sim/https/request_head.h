#pragma once
// The strict check of a request head (RFC 9112).
//
// It accepts a small, unambiguous part of HTTP/1.1: what our clients, browsers and curl send to an
// API. Anything that two parsers could read in two ways is refused, which leaves nothing to
// smuggle. A chunked body is refused with 411: clients must say how long a body is. Pure; any
// thread.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server-sim/https/http.h"

namespace inkling {

struct RequestHeadLimits {
  std::size_t target_bytes_max = 512;
  std::size_t fields_max = 64;
  std::uint64_t body_bytes_max = std::uint64_t{16} << 20;
};

struct Refusal {
  int status;          // 4xx or 5xx
  std::string detail;  // one line for the peer
};

struct RequestHead {
  std::string method;
  std::string path;
  std::string query;
  HttpFields fields;
  std::optional<std::uint64_t> content_length;
  bool expects_continue = false;
  bool closes = false;  // the peer wants the connection closed afterwards
};

// head runs from the first byte of the request line to the empty line that ends it, included.
tl::expected<RequestHead, Refusal> check_request_head(std::string_view head,
                                                      const RequestHeadLimits& limits);

}  // namespace inkling
