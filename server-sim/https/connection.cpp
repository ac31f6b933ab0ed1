#include "server-sim/https/connection.h"

#include <algorithm>
#include <optional>

#include "federated/http/message.h"
#include "server-sim/https/frontend.h"

namespace inkling {
namespace {

constexpr std::int64_t kTurnAwayMs = 1000;
constexpr std::int64_t kLingerMs = 1000;
constexpr std::size_t kLingerBytesMax = 1 << 20;
constexpr std::int64_t kIdleSliceMs = 250;  // how soon an idle connection gives way
constexpr std::size_t kBodyReserveMax = 1 << 20;
constexpr std::int64_t kHurriedHandshake = 2, kHurried = 4;  // how many times less time

// How long a client may take for something, of ms when there are workers to spare. As soon as
// others wait for one, the slow have to hurry: otherwise as many of them as there are workers would
// hold up everybody for the whole of ms.
std::int64_t patience(const ServerShared& shared, std::int64_t ms, std::int64_t times = kHurried) {
  return shared.others_wait() ? ms / times : ms;
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

// A refusal of status 0 means that there is nobody to answer.
Refusal refusal_for(const ReadFailure& failure) {
  using Kind = ReadFailure::Kind;
  switch (failure.kind) {
    case Kind::kLate:
      return {408, "too slow"};
    case Kind::kTooLong:
      return {431, failure.detail};
    case Kind::kClosed:
    case Kind::kCut:
      return {0, {}};
  }
  return {0, {}};
}

using CheckedHead = tl::expected<RequestHead, Refusal>;

// The request that the library gets to see: what frames it, and nothing else. The rest it would
// decode in its own way (percent signs in fields), or act upon (ranges, compression, multipart).
std::string replayed_head(const CheckedHead& head) {
  if (!head) return "GET / HTTP/1.1\r\n\r\n";
  std::string text = concat(head->method, " / HTTP/1.1\r\n");
  if (head->content_length) text += concat("Content-Length: ", *head->content_length, "\r\n");
  if (head->expects_continue) text += "Expect: 100-continue\r\n";
  return text + "\r\n";
}

// One request that came whole, or is refused, and its answer.
class ServedExchange final : public Exchange {
 public:
  ServedExchange(ServerShared& shared, MessageStream& messages, CheckedHead head, std::string peer,
                 std::string certificate_name, bool last);

  // From the head to the answer's last byte. False: the connection is of no use any more.
  bool serve();

  ssize_t read(char* into, std::size_t size) override;
  ssize_t write(const char* bytes, std::size_t size) override;
  void answer(httplib::Response& response, const httplib::ContentReader* reader) override;
  bool is_last() const override { return last_; }
  bool is_refused() const { return refused_; }

 private:
  HttpResponse respond(const httplib::ContentReader* reader);
  bool send_piece(httplib::DataSink& sink);
  std::optional<Refusal> read_body(const httplib::ContentReader& reader, Bytes& body);
  HttpResponse call_handler(Bytes body);
  HttpResponse refuse(const Refusal& refusal);

  ServerShared& shared_;
  MessageStream& messages_;
  CheckedHead head_;
  std::string peer_, certificate_name_;
  BodyShare share_;
  HttpResponse response_;
  bool last_;
  bool refused_ = false;
  bool failed_ = false;  // nobody is there
  std::int64_t deadline_ms_;
};

ServedExchange::ServedExchange(ServerShared& shared, MessageStream& messages, CheckedHead head,
                               std::string peer, std::string certificate_name, bool last)
    : shared_(shared),
      messages_(messages),
      head_(std::move(head)),
      peer_(std::move(peer)),
      certificate_name_(std::move(certificate_name)),
      share_(shared.bodies_bytes, shared.limits.bodies_bytes_max),
      last_(last || !head_),
      deadline_ms_(steady_now_ms() + kLingerMs) {}

bool ServedExchange::serve() {
  messages_.replay(replayed_head(head_), head_ ? head_->content_length.value_or(0) : 0,
                   {.deadline_ms = steady_now_ms() + patience(shared_, shared_.limits.body_ms),
                    .bytes_per_s_min = shared_.limits.bytes_per_s_min});
  const bool answered = shared_.frontend->process(*this);
  return answered && !failed_ && messages_.flush(deadline_ms_).has_value();
}

ssize_t ServedExchange::read(char* into, std::size_t size) {
  failed_ |= !messages_.flush(deadline_ms_);  // "100 Continue"
  return failed_ ? -1 : messages_.read(into, size);
}

ssize_t ServedExchange::write(const char* bytes, std::size_t size) {
  failed_ |= failed_ || !messages_.write({bytes, size}, deadline_ms_);
  return failed_ ? -1 : static_cast<ssize_t>(size);
}

void ServedExchange::answer(httplib::Response& response, const httplib::ContentReader* reader) try {
  response_ = respond(reader);
  deadline_ms_ = steady_now_ms() + (refused_ ? kLingerMs : shared_.limits.answer_ms);
  if (!refused_) {
    deadline_ms_ +=
        static_cast<std::int64_t>(response_.body.size()) * 1000 / shared_.limits.bytes_per_s_min;
  }
  response.status = response_.status;
  response.set_header("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response_.fields) response.set_header(name, value);
  if (!response.has_header("Cache-Control")) response.set_header("Cache-Control", "no-store");
  if (response_.next_piece) {
    last_ = true;
    response.set_chunked_content_provider(
        response_.content_type,
        [this](std::size_t, httplib::DataSink& sink) { return send_piece(sink); });
    return;
  }
  if (response_.body.empty()) {
    response.set_header("Content-Type", response_.content_type);
    return;
  }
  response.set_content_provider(
      response_.body.size(), response_.content_type,
      [this](std::size_t offset, std::size_t size, httplib::DataSink& sink) {
        const std::string_view piece = as_text(ByteSpan(response_.body).subspan(offset, size));
        return sink.write(piece.data(), piece.size());
      });
} catch (...) {
  last_ = true;  // the body may not have been read to its end
  throw;         // to the exception handler of the library's server
}

bool ServedExchange::send_piece(httplib::DataSink& sink) try {
  const std::optional<Bytes> piece = response_.next_piece();
  deadline_ms_ = steady_now_ms() + shared_.limits.answer_ms;
  if (!piece || shared_.stopping) {
    sink.done();
    return true;
  }
  if (piece->empty()) return !messages_.peer_has_left();
  return sink.write(reinterpret_cast<const char*>(piece->data()), piece->size()) &&
         messages_.flush(deadline_ms_).has_value();
} catch (...) {
  return false;
}

HttpResponse ServedExchange::respond(const httplib::ContentReader* reader) {
  if (!head_) return refuse(head_.error());
  Bytes body;
  if (reader != nullptr) {
    if (const auto refusal = read_body(*reader, body)) return refuse(*refusal);
  }
  return call_handler(std::move(body));
}

std::optional<Refusal> ServedExchange::read_body(const httplib::ContentReader& reader,
                                                 Bytes& body) {
  body.reserve(std::min<std::uint64_t>(head_->content_length.value_or(0), kBodyReserveMax));
  const bool whole = reader([&](const char* bytes, std::size_t size) {
    if (!share_.take(size)) return false;
    body.insert(body.end(), bytes, bytes + size);
    return true;
  });
  if (whole) return std::nullopt;
  if (messages_.failure()) return refusal_for(*messages_.failure());
  return Refusal{503, "busy: too many large requests at once"};
}

HttpResponse ServedExchange::call_handler(Bytes body) try {
  ++shared_.requests;
  HttpResponse response = shared_.handler({.method = std::move(head_->method),
                                           .path = std::move(head_->path),
                                           .query = std::move(head_->query),
                                           .fields = std::move(head_->fields),
                                           .body = std::move(body),
                                           .peer = std::move(peer_),
                                           .certificate_name = std::move(certificate_name_)});
  return is_sound(response) ? response : problem(500, "the request failed here");
} catch (...) {  // whatever it was, the peer learns nothing of it
  return problem(500, "the request failed here");
}

HttpResponse ServedExchange::refuse(const Refusal& refusal) {
  last_ = true;
  failed_ |= refusal.status == 0;
  refused_ = !failed_;
  if (failed_) return {};
  HttpResponse response = problem(refusal.status, refusal.detail);
  if (refusal.status == 503) response.fields.emplace_back("Retry-After", "1");
  if (refusal.status == 405) response.fields.emplace_back("Allow", "GET, HEAD, POST");
  return response;
}

class Connection {
 public:
  Connection(ServerShared& shared, TlsChannel& channel, std::string peer)
      : shared_(shared),
        channel_(channel),
        messages_(channel),
        peer_(std::move(peer)),
        certificate_name_(channel.peer_name()) {}
  void run();
  void turn_away(std::int64_t deadline_ms);

 private:
  bool serve_one();  // false: the connection is to close
  bool wait_for_request();
  CheckedHead read_request_head();
  bool is_last(const CheckedHead& head) const;

  ServerShared& shared_;
  TlsChannel& channel_;
  MessageStream messages_;
  std::string peer_, certificate_name_;
  std::size_t served_ = 0;
  std::int64_t linger_ms_ = kLingerMs;
};

void Connection::run() {
  while (serve_one()) continue;
  channel_.close_gently(steady_now_ms() + linger_ms_, kLingerBytesMax);
}

void Connection::turn_away(std::int64_t deadline_ms) {
  const Refusal busy{503, "busy: try again later"};
  ServedExchange exchange(shared_, messages_, tl::unexpected<Refusal>(busy), peer_, {}, true);
  if (exchange.serve()) channel_.close_gently(deadline_ms, kLingerBytesMax);
}

bool Connection::serve_one() {
  linger_ms_ = 0;  // until something is under way that a reset could destroy
  if (served_ > 0 && !wait_for_request()) return false;
  CheckedHead head = read_request_head();
  if (!head && head.error().status == 0) return false;
  ++served_;
  const bool last = is_last(head);
  ServedExchange exchange(shared_, messages_, std::move(head), peer_, certificate_name_, last);
  const bool answered = exchange.serve();
  if (exchange.is_refused()) ++shared_.refusals;
  if (!answered) return false;
  linger_ms_ = kLingerMs;
  return !exchange.is_last();
}

bool Connection::wait_for_request() {
  const std::int64_t deadline_ms = steady_now_ms() + shared_.limits.idle_ms;
  if (messages_.has_buffered()) return true;
  while (!shared_.stopping) {
    const std::int64_t now_ms = steady_now_ms();
    if (now_ms >= deadline_ms) return false;
    if (channel_.wait_readable(std::min(deadline_ms, now_ms + kIdleSliceMs))) return true;
    if (shared_.others_wait()) return false;
  }
  return false;
}

CheckedHead Connection::read_request_head() {
  const auto text = messages_.read_head(
      shared_.limits.head_bytes_max, steady_now_ms() + patience(shared_, shared_.limits.head_ms));
  if (!text) return tl::unexpected<Refusal>(refusal_for(text.error()));
  return check_request_head(*text, shared_.limits.head);
}

bool Connection::is_last(const CheckedHead& head) const {
  return !head || head->closes || shared_.stopping || shared_.others_wait() ||
         served_ >= shared_.limits.requests_per_connection_max;
}

}  // namespace

void serve_connection(ServerShared& shared, const ConnectionTable::Seat& seat) noexcept try {
  const std::int64_t handshake_ms = patience(shared, shared.limits.handshake_ms, kHurriedHandshake);
  auto channel = TlsChannel::accept(shared.tls, seat.socket(), steady_now_ms() + handshake_ms);
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
  Connection(shared, *channel, seat.peer()).turn_away(deadline_ms);
} catch (const std::exception&) {
  ++shared.refusals;
}

}  // namespace inkling
