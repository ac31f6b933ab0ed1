#include "federated/http/message.h"

#include <algorithm>
#include <charconv>

namespace inkling {
namespace {

constexpr std::size_t kChunkLineBytesMax = 8;  // hexadecimal digits: chunks up to 4 GiB

using Kind = ReadFailure::Kind;

tl::unexpected<ReadFailure> failure(Kind kind, std::string detail) {
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

ReadResult<void> MessageReader::fill(Pace pace) {
  std::int64_t deadline_ms = pace.deadline_ms;
  if (pace.bytes_per_s_min > 0)
    deadline_ms += static_cast<std::int64_t>(received_) * 1000 / pace.bytes_per_s_min;
  const auto got = channel_.read(buffer_, deadline_ms);
  begin_ = 0;
  end_ = got ? *got : 0;
  if (!got) {
    const bool late = steady_now_ms() >= deadline_ms;
    return failure(late ? Kind::kLate : Kind::kCut, got.error().message);
  }
  if (end_ == 0) return failure(Kind::kClosed, "the peer closed the connection");
  received_ += end_;
  return {};
}

ReadResult<std::string> MessageReader::read_head(std::size_t bytes_max, std::int64_t deadline_ms) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  received_ = 0;
  std::string head;
  for (;;) {
    if (begin_ == end_) {
      if (auto filled = fill({deadline_ms}); !filled) {
        const bool within = !head.empty();
        const Kind kind = filled.error().kind;
        if (!within) return failure(Kind::kClosed, filled.error().detail);
        return failure(kind == Kind::kClosed ? Kind::kCut : kind, filled.error().detail);
      }
    }
    const std::size_t before = head.size();
    head.append(reinterpret_cast<const char*>(buffer_.data()) + begin_, end_ - begin_);
    const std::size_t end = head.find(kEnd, before - std::min(before, kEnd.size() - 1));
    if (std::min(end, head.size()) > bytes_max)
      return failure(Kind::kTooLong, concat("head: more than ", bytes_max, " bytes"));
    if (end == std::string::npos) {
      begin_ = end_;
      continue;
    }
    begin_ += end + kEnd.size() - before;
    head.resize(end + kEnd.size());
    return head;
  }
}

ReadResult<void> MessageReader::read_body(std::uint64_t bytes, Pace pace, const Sink& sink) {
  while (bytes > 0) {
    if (begin_ == end_) {
      if (auto filled = fill(pace); !filled) {
        if (filled.error().kind == Kind::kClosed)
          return failure(Kind::kCut, "body: the peer closed the connection");
        return filled;
      }
    }
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, end_ - begin_));
    if (!sink(ByteSpan(buffer_).subspan(begin_, n)))
      return failure(Kind::kStopped, "body: stopped");
    begin_ += n;
    bytes -= n;
  }
  return {};
}

// A line of at most kChunkLineBytesMax characters, without its CRLF.
ReadResult<std::string> MessageReader::read_short_line(Pace pace) {
  std::string line;
  const auto take = [&line](ByteSpan bytes) {
    line.push_back(static_cast<char>(bytes[0]));
    return true;
  };
  while (!line.ends_with("\r\n")) {
    if (line.size() == kChunkLineBytesMax + 2)
      return failure(Kind::kMalformed, "chunk: line too long");
    if (line.ends_with('\n')) return failure(Kind::kMalformed, "chunk: line ends in a bare LF");
    if (auto read = read_body(1, pace, take); !read)
      return tl::unexpected<ReadFailure>(std::move(read).error());
  }
  line.resize(line.size() - 2);
  return line;
}

ReadResult<void> MessageReader::read_chunked_body(Pace pace, const Sink& sink) {
  for (;;) {
    const auto line = read_short_line(pace);
    if (!line) return tl::unexpected<ReadFailure>(line.error());
    std::uint64_t size = 0;
    const char* end = line->data() + line->size();
    const auto parsed = std::from_chars(line->data(), end, size, 16);
    // from_chars takes a minus sign only for signed types, and never "+" or "0x".
    if (parsed.ec != std::errc() || parsed.ptr != end)
      return failure(Kind::kMalformed, "chunk: size is not a hexadecimal number");
    if (size > 0) {
      if (auto read = read_body(size, pace, sink); !read) return read;
    }
    const auto rest = read_short_line(pace);
    if (!rest) return tl::unexpected<ReadFailure>(rest.error());
    if (!rest->empty()) return failure(Kind::kMalformed, "chunk: not followed by an empty line");
    if (size == 0) return {};
  }
}

ReadResult<void> MessageReader::read_to_close(Pace pace, const Sink& sink) {
  for (;;) {
    if (begin_ != end_ && !sink(ByteSpan(buffer_).subspan(begin_, end_ - begin_)))
      return failure(Kind::kStopped, "body: stopped");
    begin_ = end_;
    if (auto filled = fill(pace); !filled) {
      if (filled.error().kind == Kind::kClosed) return {};
      return filled;
    }
  }
}

}  // namespace inkling
