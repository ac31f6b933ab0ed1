#pragma once
// HTTP/1.1 messages on the wire (RFC 9112), strictly: both ends of our connections read with this.
//
// What two parsers could read in two ways is malformed here: bare CR or LF, folded lines, space
// before a colon, signs and junk in lengths, chunk extensions and trailers, a chunk that does not
// end where it said. A body is whole or it is a failure; it is never silently cut.

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "federated/http/tls.h"

namespace inkling {

using HttpFields = std::vector<std::pair<std::string, std::string>>;  // lower-case name, value

// The value of the first field of that name; empty when absent.
std::string_view find_field(const HttpFields& fields, std::string_view lower_case_name);

// Takes one line without its CRLF off the front of text.
std::string_view take_line(std::string_view& text);

bool is_http_token(std::string_view text);
std::string to_lower(std::string_view text);

// Lines of "name: value" up to an empty line or the end. kProtocol: a malformed line;
// kResourceLimit: more than fields_max.
Result<HttpFields> parse_fields(std::string_view lines, std::size_t fields_max);

// Digits only. kResourceLimit: more than 64 bits hold; kProtocol: anything but digits.
Result<std::uint64_t> parse_content_length(std::string_view value);

struct ReadFailure {
  enum class Kind {
    kClosed,     // the peer left between messages
    kCut,        // the peer left, or the connection broke, within one
    kLate,       // the deadline passed within a message
    kTooLong,    // over a limit
    kMalformed,  // not HTTP as above
    kStopped     // the sink wanted no more
  };
  Kind kind;
  std::string detail;  // one line
};

template <typename T>
using ReadResult = tl::expected<T, ReadFailure>;

// A deadline that a steady peer moves: every byte received buys 1 / bytes_per_s_min seconds.
// bytes_per_s_min 0: it stands still.
struct Pace {
  std::int64_t deadline_ms;
  std::int64_t bytes_per_s_min = 0;
};

// Reads one message after the other from a channel, which outlives it. One thread.
class MessageReader {
 public:
  using Sink = std::function<bool(ByteSpan)>;  // takes body bytes; false stops the reading

  explicit MessageReader(TlsChannel& channel) : channel_(channel) {}

  // From the first line to the empty line, included. kLate with an empty head counts as kClosed.
  ReadResult<std::string> read_head(std::size_t bytes_max, std::int64_t deadline_ms);
  ReadResult<void> read_body(std::uint64_t bytes, Pace pace, const Sink& sink);
  ReadResult<void> read_chunked_body(Pace pace, const Sink& sink);
  ReadResult<void> read_to_close(Pace pace, const Sink& sink);

  bool has_buffered() const { return begin_ != end_; }

 private:
  ReadResult<void> fill(Pace pace);
  ReadResult<std::string> read_short_line(Pace pace);

  TlsChannel& channel_;
  std::array<std::uint8_t, 16384> buffer_{};
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t received_ = 0;  // of this message, for the pace
};

}  // namespace inkling
