// Any bytes as a request head: refused with a status of its own, or accepted in one way only.

#include "server-sim/https/request_head.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const inkling::RequestHeadLimits limits{};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto head = inkling::check_request_head(text, limits);
  if (!head) {
    if (head.error().status < 400 || head.error().status > 599) std::abort();
    return 0;
  }
  const bool has_body = head->content_length.value_or(0) > 0;
  if (head->path.empty() || head->path.size() + head->query.size() > limits.target_bytes_max ||
      head->fields.size() > limits.fields_max ||
      inkling::find_field(head->fields, "host").empty() ||

      head->content_length.value_or(0) > limits.body_bytes_max ||
      (has_body && head->method != "POST")) {
    std::abort();
  }
  return 0;
}
