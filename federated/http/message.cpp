#include "federated/http/message.h"

#include <algorithm>
#include <charconv>

namespace inkling {
namespace {

constexpr std::size_t kRecordBytesMax = 16384;  // of TLS

using Kind = ReadFailure::Kind;

tl::unexpected<ReadFailure> failed(Kind kind, std::string detail) {
  return tl::unexpected<ReadFailure>(ReadFailure{kind, std::move(detail)});
}

bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// Printable ASCII, space, tab, and bytes above 0x7f, which RFC 9110 leaves opaque.
bool is_field_char(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u == '\t' || (u >= 0x20 && u != 0x7f);
}

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string_view find_field(const HttpFields& fields, std::string_view lower_case_name) {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& field) {
    return field.first == lower_case_name;
  });
  return found == fields.end() ? std::string_view() : std::string_view(found->second);
}

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find("\r\n");
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
  return line;
}

bool is_http_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

Result<HttpFields> parse_fields(std::string_view lines, std::size_t fields_max) {
  HttpFields fields;
  for (std::string_view line = take_line(lines); !line.empty(); line = take_line(lines)) {
    if (fields.size() == fields_max)
      return fail(ErrorCode::kResourceLimit, "fields: more than ", fields_max);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_http_token(line.substr(0, colon))) {
      return fail(ErrorCode::kProtocol,
                  "field: expected NAME: VALUE, without space before the colon or folding");
    }
    const std::string_view value = trim(line.substr(colon + 1));
    if (!std::all_of(value.begin(), value.end(), is_field_char))
      return fail(ErrorCode::kProtocol, "field: control character in a value");
    fields.emplace_back(to_lower(line.substr(0, colon)), value);
  }
  return fields;
}

Result<std::uint64_t> parse_content_length(std::string_view value) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (value.empty() || !std::all_of(value.begin(), value.end(), digit))
    return fail(ErrorCode::kProtocol, "content-length: not a number");
  std::uint64_t length = 0;
  if (std::from_chars(value.data(), value.data() + value.size(), length).ec != std::errc())
    return fail(ErrorCode::kResourceLimit, "content-length: more than 64 bits");
  return length;
}

ReadResult<void> MessageStream::fill(Pace pace) {
  std::int64_t deadline_ms = pace.deadline_ms;
  if (pace.bytes_per_s_min > 0)
    deadline_ms += static_cast<std::int64_t>(received_) * 1000 / pace.bytes_per_s_min;
  const auto got = channel_.read(buffer_, deadline_ms);
  begin_ = 0;
  end_ = got ? *got : 0;
  if (!got) {
    const bool late = steady_now_ms() >= deadline_ms;
    return failed(late ? Kind::kLate : Kind::kCut, got.error().message);
  }
  if (end_ == 0) return failed(Kind::kClosed, "the peer closed the connection");
  received_ += end_;
  return {};
}

ReadResult<std::string> MessageStream::read_head(std::size_t bytes_max, std::int64_t deadline_ms) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  received_ = 0;
  std::string head;
  for (;;) {
    if (begin_ == end_) {
      if (auto filled = fill({deadline_ms}); !filled) {
        const bool within = !head.empty();
        const Kind kind = filled.error().kind;
        if (!within) return failed(Kind::kClosed, filled.error().detail);
        return failed(kind == Kind::kClosed ? Kind::kCut : kind, filled.error().detail);
      }
    }
    const std::size_t before = head.size();
    head.append(reinterpret_cast<const char*>(buffer_.data()) + begin_, end_ - begin_);
    const std::size_t end = head.find(kEnd, before - std::min(before, kEnd.size() - 1));
    if (std::min(end, head.size()) > bytes_max)
      return failed(Kind::kTooLong, concat("head: more than ", bytes_max, " bytes"));
    if (end == std::string::npos) {
      begin_ = end_;
      continue;
    }
    begin_ += end + kEnd.size() - before;
    head.resize(end + kEnd.size());
    return head;
  }
}

void MessageStream::replay(std::string head, std::optional<std::uint64_t> body_bytes, Pace pace) {
  head_ = std::move(head);
  head_used_ = 0;
  body_left_ = body_bytes;
  pace_ = pace;
  received_ = 0;
  failure_.reset();
}

std::ptrdiff_t MessageStream::read(char* into, std::size_t size) {
  if (failure_) return -1;
  if (head_used_ < head_.size()) {
    const std::size_t n = head_.copy(into, size, head_used_);
    head_used_ += n;
    return static_cast<std::ptrdiff_t>(n);
  }
  if (body_left_ == 0u) return 0;
  if (begin_ == end_) {
    if (auto filled = fill(pace_); !filled) {
      if (filled.error().kind != Kind::kClosed) {
        failure_ = std::move(filled).error();
      } else if (body_left_) {
        failure_ = ReadFailure{Kind::kCut, "body: the peer closed the connection"};
      }
      return failure_ ? -1 : 0;
    }
  }
  std::size_t n = std::min(size, end_ - begin_);
  if (body_left_)
    *body_left_ -= n = static_cast<std::size_t>(std::min<std::uint64_t>(n, *body_left_));
  std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_), n, into);
  begin_ += n;
  return static_cast<std::ptrdiff_t>(n);
}

Result<void> MessageStream::write(std::string_view bytes, std::int64_t deadline_ms) {
  if (unsent_.size() + bytes.size() > kRecordBytesMax) INK_CHECK_OK(flush(deadline_ms));
  if (bytes.size() > kRecordBytesMax) return channel_.write(as_bytes(bytes), deadline_ms);
  unsent_ += bytes;
  return {};
}

Result<void> MessageStream::flush(std::int64_t deadline_ms) {
  const std::string bytes = std::exchange(unsent_, {});
  return channel_.write(as_bytes(bytes), deadline_ms);
}

}  // namespace inkling
