#include "federated/http/https_transport.h"

#include <httplib.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "federated/http/answer_head.h"
#include "federated/http/message.h"
#include "federated/http/socket.h"
#include "federated/http/tls.h"
#include "federated/secagg/secret.h"

namespace inkling {
namespace {

constexpr std::size_t kHeadBytesMax = 16 << 10;
constexpr std::size_t kDetailCharsMax = 200;

Error read_failed(const ReadFailure& failure) {
  if (failure.kind == ReadFailure::Kind::kTooLong)
    return {ErrorCode::kResourceLimit, "answer: " + failure.detail};
  return {ErrorCode::kNetwork, failure.detail};
}

// One exchange as the library sees it: its request goes out until the deadline, and it reads a head
// that check_answer_head has passed.
class ExchangeStream final : public httplib::Stream {
 public:
  ExchangeStream(TlsChannel& channel, std::size_t body_bytes_max, std::int64_t deadline_ms)
      : messages_(channel), body_bytes_max_(body_bytes_max), deadline_ms_(deadline_ms) {}

  ssize_t read(char* into, std::size_t size) override {
    if (!has_head_) {
      has_head_ = true;
      if (auto received = receive_head(); !received && !error_) error_ = received.error();
    }
    if (error_ && !has_answer_) return -1;
    return messages_.read(into, size);
  }

  // A server that refuses a long body answers and closes before the body is through; its answer
  // says more than "connection reset", so the library is to go on and read it.
  ssize_t write(const char* bytes, std::size_t size) override {
    if (!error_) note(messages_.write({bytes, size}, deadline_ms_));
    return static_cast<ssize_t>(size);
  }

  // Why the exchange failed, if the library says that it did.
  std::optional<Error> error() const {
    if (error_ || !messages_.failure()) return error_;
    return read_failed(*messages_.failure());
  }

  // Of no use for another exchange: cut, announced to close, or out of step.
  bool is_spent() const { return error_ || closes_ || messages_.has_buffered(); }

  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return INVALID_SOCKET; }

 private:
  void note(const Result<void>& done) {
    if (!done) error_ = done.error();
  }

  Result<void> receive_head() {
    if (!error_) note(messages_.flush(deadline_ms_));
    for (;;) {
      const auto text = messages_.read_head(kHeadBytesMax, deadline_ms_);
      if (!text) return tl::unexpected<Error>(read_failed(text.error()));
      INK_TRY(const AnswerHead head, check_answer_head(*text, body_bytes_max_));
      if (head.status < 200) continue;  // 1xx announce the real one
      has_answer_ = true;
      closes_ = head.closes;
      std::string replayed = concat("HTTP/1.1 ", head.status, " \r\n");
      if (head.content_length) replayed += concat("Content-Length: ", *head.content_length, "\r\n");
      messages_.replay(replayed + "\r\n", head.content_length, {.deadline_ms = deadline_ms_});
      return {};
    }
  }

  MessageStream messages_;
  const std::size_t body_bytes_max_;
  const std::int64_t deadline_ms_;
  bool has_head_ = false, has_answer_ = false, closes_ = false;
  std::optional<Error> error_;
};

// The library's client over our TLS channel. Its own SSLClient is not used because it trusts the
// system's authorities besides the given ones, bounds each step of a handshake but not their sum,
// and lets OpenSSL raise SIGPIPE.
class Client final : public httplib::ClientImpl {
 public:
  Client(const HttpsEndpoint& endpoint, const TlsContext& context)
      : ClientImpl(endpoint.host, endpoint.port), endpoint_(endpoint), context_(context) {
    set_keep_alive(true);
    set_follow_location(false);
    set_url_encode(false);
    set_decompress(false);
  }

  struct Answer {
    int status = 0;
    Bytes body;
  };
  Result<Answer> post(const std::string& path, ByteSpan body, std::int64_t deadline_ms);

 private:
  httplib::Request make_request(const std::string& path, ByteSpan body, Bytes& answer);
  bool create_and_connect_socket(Socket& socket, httplib::Error& error) override;
  void shutdown_ssl(Socket& socket, bool gracefully) override;
  bool process_socket(const Socket& socket,
                      std::function<bool(httplib::Stream&)> exchange) override;
  Result<void> connect();

  const HttpsEndpoint& endpoint_;
  const TlsContext& context_;
  std::int64_t deadline_ms_ = 0;       // of this exchange
  std::optional<Error> error_;         // of this exchange
  bool is_spent_ = false;              // after this exchange
  inkling::Socket connected_;          // until the library owns it
  std::optional<TlsChannel> channel_;  // over the library's socket
};

Result<void> Client::connect() {
  INK_TRY(connected_, connect_tcp(endpoint_.host, endpoint_.port, deadline_ms_));
  auto opened = TlsChannel::connect(context_, connected_.get(), endpoint_.host, deadline_ms_);
  if (!opened) {
    connected_.close();
    return fail(opened.error().code, "tls: ", endpoint_.host, ":", endpoint_.port,
                opened.error().message.substr(3));
  }
  channel_.emplace(*std::move(opened));
  return {};
}

bool Client::create_and_connect_socket(Socket& socket, httplib::Error& error) {
  const Result<void> connected = connect();
  if (!connected) {
    error_ = connected.error();
    error = httplib::Error::Connection;
    return false;
  }
  socket.sock = connected_.release();
  return true;
}

void Client::shutdown_ssl(Socket&, bool) { channel_.reset(); }

bool Client::process_socket(const Socket&, std::function<bool(httplib::Stream&)> exchange) try {
  ExchangeStream stream(*channel_, endpoint_.response_bytes_max, deadline_ms_);
  const bool answered = exchange(stream);
  if (!answered && !error_) error_ = stream.error();
  is_spent_ = stream.is_spent();
  return answered;
} catch (const std::exception& e) {  // caught here because the library counts what is in flight
  error_ = Error{ErrorCode::kResourceLimit, concat("answer: ", e.what())};
  return false;
}

httplib::Request Client::make_request(const std::string& path, ByteSpan body, Bytes& answer) {
  httplib::Request request;
  request.method = "POST";
  request.path = path;
  request.headers = {{"Host", concat(endpoint_.host, ":", endpoint_.port)},
                     {"User-Agent", "inkling"},
                     {"Content-Type", "application/octet-stream"}};
  if (!endpoint_.bearer_token.empty())
    request.headers.emplace("Authorization", "Bearer " + endpoint_.bearer_token);
  request.content_length_ = body.size();
  request.content_provider_ = [body](std::size_t offset, std::size_t size,
                                     httplib::DataSink& sink) {
    const std::string_view piece = as_text(body.subspan(offset, size));
    return sink.write(piece.data(), piece.size());
  };
  request.content_receiver = [this, &answer](const char* bytes, std::size_t size, std::uint64_t,
                                             std::uint64_t) {
    if (size > endpoint_.response_bytes_max - answer.size()) {
      error_ = Error{ErrorCode::kResourceLimit,
                     concat("answer: more than ", endpoint_.response_bytes_max, " bytes")};
      return false;
    }
    answer.insert(answer.end(), bytes, bytes + size);
    return true;
  };
  return request;
}

Result<Client::Answer> Client::post(const std::string& path, ByteSpan body,
                                    std::int64_t deadline_ms) {
  deadline_ms_ = deadline_ms;
  error_.reset();
  if (channel_ && !channel_->is_idle()) stop();  // closed meanwhile, or out of step
  Answer answer;
  httplib::Request request = make_request(path, body, answer.body);
  httplib::Response response;
  auto error = httplib::Error::Success;
  const bool answered = send(request, response, error);
  if (answered && is_spent_) stop();
  if (!answered && error_) return tl::unexpected<Error>(*error_);
  if (!answered) return fail(ErrorCode::kProtocol, "answer: ", httplib::to_string(error));
  answer.status = response.status;
  return answer;
}

ErrorCode code_for_status(int status) {
  switch (status) {
    case 401:
    case 403:
      return ErrorCode::kVerification;
    case 404:
      return ErrorCode::kNotFound;
    case 409:
      return ErrorCode::kFailedPrecondition;
    case 413:
    case 414:
    case 431:
      return ErrorCode::kResourceLimit;
    case 408:
    case 429:
      return ErrorCode::kNetwork;
    default:
      return status >= 500 ? ErrorCode::kNetwork : ErrorCode::kProtocol;
  }
}

// The "detail" of a problem+json body as one printable line, or the empty string.
std::string problem_detail(ByteSpan body) {
  const auto json = nlohmann::json::parse(as_text(body), nullptr, false);
  if (!json.is_object() || !json.contains("detail") || !json["detail"].is_string()) return {};
  std::string detail = json["detail"].get<std::string>().substr(0, kDetailCharsMax);
  for (char& c : detail) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return ": " + detail;
}

bool has_control_or_space(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; });
}

}  // namespace

struct HttpsTransport::State {
  State(HttpsEndpoint endpoint_in, TlsContext context_in)
      : endpoint(std::move(endpoint_in)), context(std::move(context_in)) {}

  HttpsEndpoint endpoint;
  TlsContext context;
  Client client{endpoint, context};
};

HttpsTransport::HttpsTransport(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpsTransport::~HttpsTransport() = default;

Result<std::unique_ptr<HttpsTransport>> HttpsTransport::create(HttpsEndpoint endpoint) {
  if (endpoint.host.empty() || has_control_or_space(endpoint.host) || endpoint.port == 0) {
    return fail(ErrorCode::kInvalidArgument, "endpoint \"", endpoint.host, "\":", endpoint.port,
                ": expected a host and a port from 1 to 65535");
  }
  if (has_control_or_space(endpoint.bearer_token))
    return fail(ErrorCode::kInvalidArgument, "bearer token: has a space or control character");
  auto made = TlsContext::client(endpoint.authorities_pem, endpoint.pins,
                                 {endpoint.certificate_pem, endpoint.key_pem});
  secagg::wipe(endpoint.key_pem.data(), endpoint.key_pem.size());
  INK_TRY(TlsContext context, std::move(made));
  auto state = std::make_unique<State>(std::move(endpoint), std::move(context));
  return std::unique_ptr<HttpsTransport>(new HttpsTransport(std::move(state)));
}

Result<Bytes> HttpsTransport::exchange(std::string_view path, ByteSpan body,
                                       std::int64_t timeout_ms) try {
  if (path.empty() || path[0] != '/' || has_control_or_space(path))
    return fail(ErrorCode::kInvalidArgument, "path \"", path, "\": expected /...");
  const std::string place = concat(state_->endpoint.host, ":", state_->endpoint.port);
  auto answer = state_->client.post(std::string(path), body, steady_now_ms() + timeout_ms);
  if (answer && answer->status >= 200 && answer->status <= 299) return std::move(answer->body);
  Error error = answer ? Error{code_for_status(answer->status),
                               concat("HTTP ", answer->status, problem_detail(answer->body))}
                       : std::move(answer).error();
  if (error.message.find(place) != std::string::npos) return tl::unexpected<Error>(error);
  return fail_within(error, "https://", place, path);
} catch (const std::exception& e) {  // the library and the standard one, out of memory
  return fail(ErrorCode::kResourceLimit, "https: ", e.what());
}

}  // namespace inkling
