#include "server-sim/https/connection.h"

#include <algorithm>
#include <optional>

#include "federated/http/message.h"

namespace inkling {
namespace {

constexpr std::int64_t kTurnAwayMs = 1000;
constexpr std::int64_t kLingerMs = 1000;
constexpr std::size_t kLingerBytesMax = 1 << 20;
constexpr std::int64_t kIdleSliceMs = 250;  // how soon an idle connection gives way
constexpr std::size_t kBodyReserveMax = 1 << 20;
constexpr std::size_t kOneRecordBytesMax = 8 << 10;

std::string wire_head(const HttpResponse& response, bool closes) {
  std::string text = concat(
      "HTTP/1.1 ", response.status, " ", status_title(response.status),
      "\r\nContent-Type: ", response.content_type, "\r\nContent-Length: ", response.body.size(),
      "\r\nX-Content-Type-Options: nosniff\r\n", closes ? "Connection: close\r\n" : "");
  bool has_cache_control = false;
  for (const auto& [name, value] : response.fields) {
    text += concat(name, ": ", value, "\r\n");
    has_cache_control |= to_lower(name) == "cache-control";
  }
  if (!has_cache_control) text += "Cache-Control: no-store\r\n";
  return text + "\r\n";
}

// Short answers go out in one TLS record, long ones without being copied.
Result<void> send_answer(TlsChannel& channel, const HttpResponse& response, bool closes,
                         bool head_only, std::int64_t deadline_ms) {
  const std::string head = wire_head(response, closes);
  if (head_only) return channel.write(as_bytes(head), deadline_ms);
  if (response.body.size() > kOneRecordBytesMax) {
    INK_CHECK_OK(channel.write(as_bytes(head), deadline_ms));
    return channel.write(response.body, deadline_ms);
  }
  Bytes both(head.begin(), head.end());
  both.insert(both.end(), response.body.begin(), response.body.end());
  return channel.write(both, deadline_ms);
}

// A handler's fields must not be able to start a line of their own.
bool is_sound(const HttpResponse& response) {
  const auto clean = [](std::string_view text) {
    return std::none_of(text.begin(), text.end(), [](char c) {
      return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
    });
  };
  return response.status >= 200 && response.status <= 599 && clean(response.content_type) &&
         std::all_of(response.fields.begin(), response.fields.end(), [&](const auto& field) {
           return is_http_token(field.first) && clean(field.second);
         });
}

// This request's part of the bytes that all bodies in flight may hold; given back at the end.
class BodyShare {
 public:
  BodyShare(std::atomic<std::uint64_t>& total, std::uint64_t max) : total_(total), max_(max) {}
  ~BodyShare() { total_ -= held_; }
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;
  bool take(std::uint64_t bytes) {
    held_ += bytes;
    return (total_ += bytes) <= max_;
  }

 private:
  std::atomic<std::uint64_t>& total_;
  const std::uint64_t max_;
  std::uint64_t held_ = 0;
};

class Connection {
 public:
  Connection(ServerShared& shared, TlsChannel& channel, std::string peer)
      : shared_(shared), channel_(channel), reader_(channel), peer_(std::move(peer)) {}
  void run();

 private:
  enum class Next { kRequest, kClose };
  Next serve_one();
  bool wait_for_request();
  tl::expected<RequestHead, Refusal> read_request_head();
  tl::expected<Bytes, Refusal> read_request_body(const RequestHead& head, BodyShare& share);
  HttpResponse call_handler(const HttpRequest& request);
  bool is_last(const RequestHead& head) const;
  Next refuse(const Refusal& refusal);

  ServerShared& shared_;
  TlsChannel& channel_;
  MessageReader reader_;
  std::string peer_;
  std::size_t served_ = 0;
  std::int64_t linger_ms_ = kLingerMs;
};

void Connection::run() {
  while (serve_one() == Next::kRequest) continue;
  channel_.close_gently(steady_now_ms() + linger_ms_, kLingerBytesMax);
}

Connection::Next Connection::serve_one() {
  if (served_ > 0 && !wait_for_request()) {
    linger_ms_ = 0;  // nothing is under way that a reset could destroy
    return Next::kClose;
  }
  auto head = read_request_head();
  if (!head) return refuse(head.error());
  BodyShare share(shared_.bodies_bytes, shared_.limits.bodies_bytes_max);
  auto body = read_request_body(*head, share);
  if (!body) return refuse(body.error());
  ++served_;
  const bool last = is_last(*head);
  const bool head_only = head->method == "HEAD";
  const HttpResponse response = call_handler({.method = std::move(head->method),
                                              .path = std::move(head->path),
                                              .query = std::move(head->query),
                                              .fields = std::move(head->fields),
                                              .body = *std::move(body),
                                              .peer = peer_});
  const std::int64_t deadline_ms =
      steady_now_ms() + shared_.limits.answer_ms +
      static_cast<std::int64_t>(response.body.size()) * 1000 / shared_.limits.bytes_per_s_min;
  const bool sent = send_answer(channel_, response, last, head_only, deadline_ms).has_value();
  return sent && !last ? Next::kRequest : Next::kClose;
}

bool Connection::wait_for_request() {
  const std::int64_t deadline_ms = steady_now_ms() + shared_.limits.idle_ms;
  if (reader_.has_buffered()) return true;
  while (!shared_.stopping) {
    const std::int64_t now_ms = steady_now_ms();
    if (now_ms >= deadline_ms) return false;
    if (channel_.wait_readable(std::min(deadline_ms, now_ms + kIdleSliceMs))) return true;
    if (shared_.others_wait()) return false;
  }
  return false;
}

// A refusal of status 0 means that there is nobody to answer.
Refusal refusal_for(const ReadFailure& failure) {
  using Kind = ReadFailure::Kind;
  switch (failure.kind) {
    case Kind::kLate:
      return {408, "too slow"};
    case Kind::kTooLong:
      return {431, failure.detail};
    case Kind::kMalformed:
      return {400, failure.detail};
    case Kind::kClosed:
    case Kind::kCut:
    case Kind::kStopped:
      return {0, {}};
  }
  return {0, {}};
}

tl::expected<RequestHead, Refusal> Connection::read_request_head() {
  const auto text =
      reader_.read_head(shared_.limits.head_bytes_max, steady_now_ms() + shared_.limits.head_ms);
  if (!text) return tl::unexpected<Refusal>(refusal_for(text.error()));
  return check_request_head(*text, shared_.limits.head);
}

tl::expected<Bytes, Refusal> Connection::read_request_body(const RequestHead& head,
                                                           BodyShare& share) {
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  const std::int64_t start_ms = steady_now_ms();
  if (head.expects_continue && !channel_.write(as_bytes(kContinue), start_ms + kLingerMs))
    return tl::unexpected<Refusal>(Refusal{0, {}});
  const std::uint64_t body_max = shared_.limits.head.body_bytes_max;
  Bytes body;
  body.reserve(std::min<std::uint64_t>(head.content_length.value_or(0), kBodyReserveMax));
  std::optional<Refusal> refusal;
  const auto take = [&](ByteSpan bytes) {
    if (bytes.size() > body_max - body.size()) {
      refusal = Refusal{413, concat("body: limit ", body_max, " bytes")};
    } else if (!share.take(bytes.size())) {
      refusal = Refusal{503, "busy: too many large requests at once"};
    } else {
      body.insert(body.end(), bytes.begin(), bytes.end());
    }
    return !refusal;
  };
  const Pace pace{start_ms + shared_.limits.body_ms, shared_.limits.bytes_per_s_min};
  const auto read = head.chunked ? reader_.read_chunked_body(pace, take)
                                 : reader_.read_body(head.content_length.value_or(0), pace, take);
  if (read) return body;
  return tl::unexpected<Refusal>(refusal ? *std::move(refusal) : refusal_for(read.error()));
}

HttpResponse Connection::call_handler(const HttpRequest& request) try {
  ++shared_.requests;
  HttpResponse response = shared_.handler(request);
  return is_sound(response) ? response : problem(500, "the request failed here");
} catch (...) {  // whatever it was, the peer learns nothing of it
  return problem(500, "the request failed here");
}

bool Connection::is_last(const RequestHead& head) const {
  return head.closes || shared_.stopping || shared_.others_wait() ||
         served_ >= shared_.limits.requests_per_connection_max;
}

Connection::Next Connection::refuse(const Refusal& refusal) {
  if (refusal.status == 0) {
    linger_ms_ = 0;
    return Next::kClose;
  }
  ++shared_.refusals;
  HttpResponse response = problem(refusal.status, refusal.detail);
  if (refusal.status == 503) response.fields.emplace_back("Retry-After", "1");
  if (refusal.status == 405) response.fields.emplace_back("Allow", "GET, HEAD, POST");
  if (!send_answer(channel_, response, true, false, steady_now_ms() + kLingerMs)) linger_ms_ = 0;
  return Next::kClose;
}

}  // namespace

void serve_connection(ServerShared& shared, const ConnectionTable::Seat& seat) noexcept try {
  auto channel =
      TlsChannel::accept(shared.tls, seat.socket(), steady_now_ms() + shared.limits.handshake_ms);
  if (!channel) {
    ++shared.handshakes_failed;
    return;
  }
  Connection(shared, *channel, seat.peer()).run();
} catch (const std::exception&) {
  ++shared.refusals;  // out of memory: this connection ends, the server stands
}

void turn_away(ServerShared& shared, const ConnectionTable::Seat& seat) noexcept try {
  const std::int64_t deadline_ms = steady_now_ms() + kTurnAwayMs;
  auto channel = TlsChannel::accept(shared.tls, seat.socket(), deadline_ms);
  if (!channel) return;
  HttpResponse response = problem(503, "busy: try again later");
  response.fields.emplace_back("Retry-After", "1");
  if (send_answer(*channel, response, true, false, deadline_ms))
    channel->close_gently(deadline_ms, kLingerBytesMax);
} catch (const std::exception&) {
  ++shared.refusals;
}

}  // namespace inkling
