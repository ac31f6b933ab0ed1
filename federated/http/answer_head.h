#pragma once
// The strict check of an answer's head (RFC 9112): what a device accepts of a server. Pure; any
// thread.

#include <cstdint>
#include <optional>
#include <string_view>

#include "runtime/base/result.h"

namespace inkling {

inline constexpr std::size_t kAnswerFieldsMax = 64;

struct AnswerHead {
  int status = 0;                               // three digits
  std::optional<std::uint64_t> content_length;  // nothing: up to the end of the connection
  bool closes = false;
};

// text runs from the first byte to the empty line that ends the head, included. kProtocol: not
// HTTP/1.1, malformed, chunked or compressed. kResourceLimit: more fields or a longer body than we
// take.
Result<AnswerHead> check_answer_head(std::string_view text, std::uint64_t body_bytes_max);

}  // namespace inkling
