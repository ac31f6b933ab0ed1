#include "server-sim/https/request_head.h"

#include <algorithm>

namespace inkling {
namespace {

using Checked = std::optional<Refusal>;  // nothing: accepted

bool is_target_char(char c) { return c > 0x20 && c < 0x7f; }

Checked check_target(std::string_view target, RequestHead& head, const RequestHeadLimits& limits) {
  if (target.size() > limits.target_bytes_max) {
    return Refusal{414,
                   concat("target: ", target.size(), " bytes, limit ", limits.target_bytes_max)};
  }
  if (target.empty() || target[0] != '/' ||
      !std::all_of(target.begin(), target.end(), is_target_char)) {
    return Refusal{400, "target: expected a path from '/' of printable characters"};
  }
  const std::size_t mark = target.find('?');
  head.path = target.substr(0, mark);
  if (mark != std::string_view::npos) head.query = target.substr(mark + 1);
  return {};
}

Checked check_request_line(std::string_view line, RequestHead& head,
                           const RequestHeadLimits& limits) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return Refusal{400, "request line: expected METHOD TARGET VERSION"};
  head.method = line.substr(0, first);
  const std::string_view version = line.substr(last + 1);
  if (!is_http_token(head.method)) return Refusal{400, "method: not a token"};
  if (version.size() != 8 || !version.starts_with("HTTP/"))
    return Refusal{400, "version: not HTTP"};
  if (version != "HTTP/1.1") return Refusal{505, "version: expected HTTP/1.1"};
  if (Checked refused = check_target(line.substr(first + 1, last - first - 1), head, limits))
    return refused;
  if (head.method != "GET" && head.method != "HEAD" && head.method != "POST")
    return Refusal{405, "method: expected GET, HEAD or POST"};
  return {};
}

Checked check_content_length(std::string_view value, RequestHead& head,
                             const RequestHeadLimits& limits) {
  const auto length = parse_content_length(value);
  if (!length && length.error().code == ErrorCode::kProtocol)
    return Refusal{400, length.error().message};
  if (!length || *length > limits.body_bytes_max)
    return Refusal{413, concat("body: limit ", limits.body_bytes_max, " bytes")};
  head.content_length = *length;
  return {};
}

// One field by its meaning; each of these may come once.
Checked check_meaning(const std::string& name, const std::string& value, RequestHead& head,
                      const RequestHeadLimits& limits) {
  if (name == "content-length") return check_content_length(value, head, limits);
  if (name == "transfer-encoding") {
    if (to_lower(value) != "chunked") return Refusal{501, "transfer-encoding: not known"};
  } else if (name == "content-encoding" && to_lower(value) != "identity") {
    return Refusal{415, "content-encoding: expected identity"};
  } else if (name == "expect") {
    head.expects_continue = to_lower(value) == "100-continue";
    if (!head.expects_continue) return Refusal{417, "expect: only 100-continue is known"};
  } else if (name == "connection") {
    head.closes = to_lower(value).find("close") != std::string::npos;
  } else if (name == "host" && value.empty()) {
    return Refusal{400, "host: empty"};
  }
  return {};
}

Checked check_fields(RequestHead& head, const RequestHeadLimits& limits) {
  constexpr std::string_view kOnce[] = {"host",         "content-length", "transfer-encoding",
                                        "expect",       "connection",     "content-encoding",
                                        "content-type", "authorization"};
  for (const std::string_view name : kOnce) {
    const auto count = std::count_if(head.fields.begin(), head.fields.end(),
                                     [&](const auto& field) { return field.first == name; });
    if (count > 1) return Refusal{400, concat(name, ": given more than once")};
    if (count == 0 && name == "host") return Refusal{400, "host: missing"};
  }
  for (const auto& [name, value] : head.fields) {
    if (Checked refused = check_meaning(name, value, head, limits)) return refused;
  }
  return {};
}

Checked check_framing(const RequestHead& head) {
  const bool chunked = !find_field(head.fields, "transfer-encoding").empty();
  if (chunked && head.content_length)
    return Refusal{400, "content-length and transfer-encoding together"};
  if (head.method != "POST" && (chunked || head.content_length.value_or(0) > 0))
    return Refusal{400, "body: only POST may have one"};
  if (head.method == "POST" && !head.content_length)
    return Refusal{411, "POST needs content-length; chunked is not accepted"};
  return {};
}

Checked check(std::string_view text, RequestHead& head, const RequestHeadLimits& limits) {
  if (Checked refused = check_request_line(take_line(text), head, limits)) return refused;
  auto fields = parse_fields(text, limits.fields_max);
  if (!fields) {
    const bool many = fields.error().code == ErrorCode::kResourceLimit;
    return Refusal{many ? 431 : 400, fields.error().message};
  }
  head.fields = *std::move(fields);
  if (Checked refused = check_fields(head, limits)) return refused;
  return check_framing(head);
}

}  // namespace

tl::expected<RequestHead, Refusal> check_request_head(std::string_view text,
                                                      const RequestHeadLimits& limits) {
  RequestHead head;
  if (Checked refused = check(text, head, limits))
    return tl::unexpected<Refusal>(*std::move(refused));
  return head;
}

}  // namespace inkling
