#include "federated/http/https_transport.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "federated/http/message.h"
#include "federated/http/socket.h"
#include "federated/http/tls.h"

namespace inkling {
namespace {

constexpr std::size_t kHeadBytesMax = 16 << 10;
constexpr std::size_t kFieldsMax = 64;
constexpr std::size_t kDetailCharsMax = 200;

struct Answer {
  int status = 0;
  HttpFields fields;
  Bytes body;
  bool closes = false;  // the connection is of no use afterwards
};

tl::unexpected<Error> read_failed(const ReadFailure& failure) {
  switch (failure.kind) {
    case ReadFailure::Kind::kTooLong:
    case ReadFailure::Kind::kStopped:
      return fail(ErrorCode::kResourceLimit, "answer: ", failure.detail);
    case ReadFailure::Kind::kMalformed:
      return fail(ErrorCode::kProtocol, "answer: ", failure.detail);
    case ReadFailure::Kind::kClosed:
    case ReadFailure::Kind::kCut:
    case ReadFailure::Kind::kLate:
      break;
  }
  return fail(ErrorCode::kNetwork, failure.detail);
}

// "HTTP/1.1 200 OK": three digits after the version.
Result<int> parse_status_line(std::string_view line) {
  const auto digit = [&](std::size_t i) { return line[i] >= '0' && line[i] <= '9'; };
  if (line.size() < 12 || !line.starts_with("HTTP/1.1 ") || !digit(9) || !digit(10) || !digit(11) ||
      (line.size() > 12 && line[12] != ' ')) {
    return fail(ErrorCode::kProtocol, "answer: not HTTP/1.1");
  }
  return (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
}

Result<Answer> read_answer_head(MessageReader& reader, std::int64_t deadline_ms) {
  for (;;) {
    const auto text = reader.read_head(kHeadBytesMax, deadline_ms);
    if (!text) return read_failed(text.error());
    std::string_view rest = *text;
    Answer answer;
    INK_TRY(answer.status, parse_status_line(take_line(rest)));
    INK_TRY(answer.fields, parse_fields(rest, kFieldsMax));
    answer.closes = to_lower(find_field(answer.fields, "connection")) == "close";
    if (answer.status >= 200) return answer;  // 1xx announce the real one
  }
}

// Framing by RFC 9112, 6.3: chunked, else a length, else everything to the end of the connection.
Result<void> read_answer_body(MessageReader& reader, Answer& answer, Pace pace,
                              std::size_t bytes_max) {
  const auto take = [&](ByteSpan bytes) {
    if (bytes.size() > bytes_max - answer.body.size()) return false;
    answer.body.insert(answer.body.end(), bytes.begin(), bytes.end());
    return true;
  };
  const std::string_view coding = find_field(answer.fields, "transfer-encoding");
  const std::string_view length = find_field(answer.fields, "content-length");
  if (!coding.empty() && (to_lower(coding) != "chunked" || !length.empty()))
    return fail(ErrorCode::kProtocol, "answer: framing is ambiguous");
  ReadResult<void> read;
  if (answer.status == 204) {
    return {};
  } else if (!coding.empty()) {
    read = reader.read_chunked_body(pace, take);
  } else if (!length.empty()) {
    INK_TRY(const std::uint64_t bytes, parse_content_length(length));
    if (bytes > bytes_max)
      return fail(ErrorCode::kResourceLimit, "answer: ", bytes, " bytes, limit ", bytes_max);
    read = reader.read_body(bytes, pace, take);
  } else {
    answer.closes = true;
    read = reader.read_to_close(pace, take);
  }
  if (!read) return read_failed(read.error());
  return {};
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
      : endpoint(std::move(endpoint_in)),
        place(concat(endpoint.host, ":", endpoint.port)),
        context(std::move(context_in)) {}

  Result<void> connect(std::int64_t deadline_ms);
  void disconnect();
  Result<void> send(std::string_view path, ByteSpan body, std::int64_t deadline_ms);
  Result<Answer> receive(std::int64_t deadline_ms);
  Result<Bytes> exchange(std::string_view path, ByteSpan body, std::int64_t deadline_ms);

  HttpsEndpoint endpoint;
  std::string place;
  TlsContext context;
  Socket socket;
  std::optional<TlsChannel> channel;  // over socket
};

void HttpsTransport::State::disconnect() {
  channel.reset();
  socket.close();
}

Result<void> HttpsTransport::State::connect(std::int64_t deadline_ms) {
  if (channel && !channel->is_idle()) disconnect();  // closed meanwhile, or out of step
  if (channel) return {};
  INK_TRY(socket, connect_tcp(endpoint.host, endpoint.port, deadline_ms));
  auto opened = TlsChannel::connect(context, socket.get(), endpoint.host, deadline_ms);
  if (!opened) {
    disconnect();
    return fail(opened.error().code, "tls: ", place, opened.error().message.substr(3));
  }
  channel.emplace(*std::move(opened));
  return {};
}

Result<void> HttpsTransport::State::send(std::string_view path, ByteSpan body,
                                         std::int64_t deadline_ms) {
  const std::string authorization = endpoint.bearer_token.empty()
                                        ? ""
                                        : "Authorization: Bearer " + endpoint.bearer_token + "\r\n";
  const std::string head =
      concat("POST ", path, " HTTP/1.1\r\nHost: ", place, "\r\n", authorization,
             "Content-Type: application/octet-stream\r\nContent-Length: ", body.size(), "\r\n\r\n");
  constexpr std::size_t kOneRecordBytesMax = 16384;
  if (head.size() + body.size() > kOneRecordBytesMax) {
    INK_CHECK_OK(channel->write(as_bytes(head), deadline_ms));
    return channel->write(body, deadline_ms);
  }
  Bytes both(head.begin(), head.end());
  both.insert(both.end(), body.begin(), body.end());
  return channel->write(both, deadline_ms);
}

Result<Answer> HttpsTransport::State::receive(std::int64_t deadline_ms) {
  MessageReader reader(*channel);
  INK_TRY(Answer answer, read_answer_head(reader, deadline_ms));
  INK_CHECK_OK(read_answer_body(reader, answer, {deadline_ms}, endpoint.response_bytes_max));
  answer.closes |= reader.has_buffered();  // more than one answer: out of step
  return answer;
}

Result<Bytes> HttpsTransport::State::exchange(std::string_view path, ByteSpan body,
                                              std::int64_t deadline_ms) {
  INK_CHECK_OK(connect(deadline_ms));
  // A server that refuses a long body answers and closes before the body is through; its answer
  // says more than "connection reset", so look for one even when the sending failed.
  const Result<void> sent = send(path, body, deadline_ms);
  Result<Answer> answer = receive(deadline_ms);
  if (!sent || !answer || answer->closes) disconnect();
  if (!answer) return tl::unexpected<Error>(sent ? answer.error() : sent.error());
  if (answer->status < 200 || answer->status > 299) {
    return fail(code_for_status(answer->status), "HTTP ", answer->status,
                problem_detail(answer->body));
  }
  return std::move(answer->body);
}

HttpsTransport::HttpsTransport(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpsTransport::~HttpsTransport() = default;

Result<std::unique_ptr<HttpsTransport>> HttpsTransport::create(HttpsEndpoint endpoint) {
  if (endpoint.host.empty() || has_control_or_space(endpoint.host) || endpoint.port == 0) {
    return fail(ErrorCode::kInvalidArgument, "endpoint \"", endpoint.host, "\":", endpoint.port,
                ": expected a host and a port from 1 to 65535");
  }
  if (has_control_or_space(endpoint.bearer_token))
    return fail(ErrorCode::kInvalidArgument, "bearer token: has a space or control character");
  INK_TRY(TlsContext context, TlsContext::client(endpoint.authorities_pem, endpoint.pins));
  auto state = std::make_unique<State>(std::move(endpoint), std::move(context));
  return std::unique_ptr<HttpsTransport>(new HttpsTransport(std::move(state)));
}

Result<Bytes> HttpsTransport::exchange(std::string_view path, ByteSpan body,
                                       std::int64_t timeout_ms) {
  if (path.empty() || path[0] != '/' || has_control_or_space(path))
    return fail(ErrorCode::kInvalidArgument, "path \"", path, "\": expected /...");
  auto answer = state_->exchange(path, body, steady_now_ms() + timeout_ms);
  if (answer || answer.error().message.find(state_->place) != std::string::npos) return answer;
  return fail_within(answer.error(), "https://", state_->place, path);
}

}  // namespace inkling
