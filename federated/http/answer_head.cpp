#include "federated/http/answer_head.h"

#include <algorithm>

#include "federated/http/message.h"

namespace inkling {

namespace {

// "HTTP/1.1 200 OK": three digits after the version.
Result<int> parse_status_line(std::string_view line) {
  const auto digit = [&](std::size_t i) { return line[i] >= '0' && line[i] <= '9'; };
  if (line.size() < 12 || !line.starts_with("HTTP/1.1 ") || !digit(9) || !digit(10) || !digit(11) ||
      (line.size() > 12 && line[12] != ' ')) {
    return fail(ErrorCode::kProtocol, "answer: not HTTP/1.1");
  }
  return (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
}

}  // namespace

Result<AnswerHead> check_answer_head(std::string_view text, std::uint64_t body_bytes_max) {
  AnswerHead head;
  INK_TRY(head.status, parse_status_line(take_line(text)));
  INK_TRY(const HttpFields fields, parse_fields(text, kAnswerFieldsMax));
  if (!find_field(fields, "transfer-encoding").empty())
    return fail(ErrorCode::kProtocol, "answer: chunked, expected content-length");
  const auto lengths = std::count_if(fields.begin(), fields.end(), [](const auto& field) {
    return field.first == "content-length";
  });
  if (lengths > 1) return fail(ErrorCode::kProtocol, "answer: content-length more than once");
  const std::string_view coding = find_field(fields, "content-encoding");
  if (!coding.empty() && to_lower(coding) != "identity")
    return fail(ErrorCode::kProtocol, "answer: compressed");
  if (const std::string_view length = find_field(fields, "content-length"); !length.empty()) {
    INK_TRY(head.content_length, parse_content_length(length));
    if (*head.content_length > body_bytes_max) {
      return fail(ErrorCode::kResourceLimit, "answer: ", *head.content_length, " bytes, limit ",
                  body_bytes_max);
    }
  }
  head.closes = !head.content_length || to_lower(find_field(fields, "connection")) == "close";
  return head;
}

}  // namespace inkling
