#pragma once
// HTTP/1.1 messages on the wire (RFC 9112): what both ends do before the HTTP library sees a byte.
//
// A head is read whole within its limit and checked strictly: what two parsers could read in two
// ways is malformed (bare CR or LF, folded lines, space before a colon, signs and junk in lengths).
// The library then reads from a MessageStream, which gives it a head that the checker wrote and not
// one byte more than the body that this head announces.

#include <array>
#include <cstdint>
#include <optional>
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
    kClosed,  // the peer left between messages
    kCut,     // the peer left, or the connection broke, within one
    kLate,    // the deadline passed within a message
    kTooLong  // over a limit
  };
  Kind kind;
  std::string detail;  // one line
};

template <typename T>
using ReadResult = tl::expected<T, ReadFailure>;

// A deadline that a steady peer moves: every byte received buys 1 / bytes_per_s_min seconds.
// bytes_per_s_min 0: it stands still.
struct Pace {
  std::int64_t deadline_ms = 0;
  std::int64_t bytes_per_s_min = 0;
};

// One message after the other, both ways, over a channel that outlives it. One thread.
class MessageStream {
 public:
  explicit MessageStream(TlsChannel& channel) : channel_(channel) {}

  // From the first line to the empty line, included. kLate with an empty head counts as kClosed.
  ReadResult<std::string> read_head(std::size_t bytes_max, std::int64_t deadline_ms);

  // What read() gives from here on: these bytes, then body_bytes of the peer's, or without a number
  // all up to its close_notify.
  void replay(std::string head, std::optional<std::uint64_t> body_bytes, Pace pace);

  // Reads 1..size bytes. 0: that was all. -1: failure() says why the body is not whole.
  std::ptrdiff_t read(char* into, std::size_t size);
  const std::optional<ReadFailure>& failure() const { return failure_; }

  // Gathers short pieces into one TLS record; flush() sends what is left.
  Result<void> write(std::string_view bytes, std::int64_t deadline_ms);
  Result<void> flush(std::int64_t deadline_ms);

  bool has_buffered() const { return begin_ != end_; }  // bytes of the next message
  // It has closed the connection, or sends what nobody asked for. Does not wait.
  bool peer_has_left() { return !channel_.is_idle(); }

 private:
  ReadResult<void> fill(Pace pace);

  TlsChannel& channel_;
  std::array<std::uint8_t, 16384> buffer_{};
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t received_ = 0;  // of this message, for the pace
  std::string head_;            // replayed up to head_used_
  std::size_t head_used_ = 0;
  std::optional<std::uint64_t> body_left_;
  Pace pace_;
  std::optional<ReadFailure> failure_;
  std::string unsent_;
};

}  // namespace inkling
