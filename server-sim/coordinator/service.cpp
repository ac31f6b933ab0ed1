#include "server-sim/coordinator/service.h"

#include <algorithm>
#include <charconv>
#include <chrono>

namespace inkling {

namespace {

constexpr auto kTick = std::chrono::milliseconds(50);

// Takes the text up to the next '/' off the front.
std::string_view next_part(std::string_view& path) {
  const std::size_t end = std::min(path.find('/'), path.size());
  const std::string_view part = path.substr(0, end);
  path.remove_prefix(std::min(end + 1, path.size()));
  return part;
}

bool parse_client(std::string_view text, secagg::ClientId& client) {
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() != client.size()) return false;
  std::copy(bytes->begin(), bytes->end(), client.begin());
  return true;
}

template <typename T>
bool parse_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_attempt(std::string_view text, secagg::Attempt& attempt) {
  const std::size_t dot = text.find('.');
  return dot != std::string_view::npos && parse_number(text.substr(0, dot), attempt.round) &&
         parse_number(text.substr(dot + 1), attempt.attempt);
}

HttpResponse answer(Bytes body) {
  HttpResponse response;
  response.body = std::move(body);
  return response;
}

HttpResponse not_allowed(std::string_view allowed) {
  HttpResponse response = problem(405, concat("expected ", allowed));
  response.fields.emplace_back("Allow", allowed);
  return response;
}

}  // namespace

Service::Service(Coordinator coordinator, const Clock& clock)
    : coordinator_(std::move(coordinator)), clock_(clock) {
  ticker_ = std::thread([this] { run_clock(); });
}

Service::~Service() { stop(); }

void Service::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (ticker_.joinable()) ticker_.join();
}

void Service::run_clock() {
  std::unique_lock lock(mutex_);
  while (!stopping_ && failure_) {
    const std::uint64_t before = coordinator_.version();
    failure_ = coordinator_.tick(clock_.unix_ms());
    if (!failure_ || coordinator_.version() != before) changed_.notify_all();
    changed_.wait_for(lock, kTick, [&] { return stopping_; });
  }
}

bool Service::healthy() {
  const std::lock_guard lock(mutex_);
  return failure_.has_value();
}

Result<void> Service::failure() {
  const std::lock_guard lock(mutex_);
  return failure_;
}

HttpResponse Service::handle(const HttpRequest& request) {
  std::string_view path = request.path;
  if (path == "/healthz") {
    if (request.method != "GET") return not_allowed("GET");
    if (!healthy()) return problem(503, "the coordinator has failed");
    HttpResponse response = answer(Bytes{'o', 'k', '\n'});
    response.content_type = "text/plain";
    return response;
  }
  secagg::ClientId client{};
  secagg::Attempt attempt;
  const bool known = !path.ends_with('/') && next_part(path).empty() && next_part(path) == "v1" &&
                     next_part(path) == "clients" && parse_client(next_part(path), client);
  if (!known) return problem(404, "no such resource");
  const std::string_view what = next_part(path);
  const bool joins = what == "join" && path.empty();
  const bool plays = what == "rounds" && parse_attempt(next_part(path), attempt) &&
                     (path == "poll" || path == "message");
  if (!joins && !plays) return problem(404, "no such resource");
  if (request.method != "POST") return not_allowed("POST");
  if (joins) {
    const std::lock_guard lock(mutex_);
    const auto invitation = coordinator_.join(client, request.body, clock_.unix_ms());
    changed_.notify_all();
    return invitation ? answer(*invitation) : problem(invitation.error());
  }
  if (path == "poll") return poll(client, attempt, request.body);
  const std::lock_guard lock(mutex_);
  const auto received = coordinator_.receive(client, attempt, request.body, clock_.unix_ms());
  changed_.notify_all();
  return received ? answer({}) : problem(received.error());
}

HttpResponse Service::poll(const secagg::ClientId& client, const secagg::Attempt& attempt,
                           ByteSpan body) {
  if (body.size() != 1)
    return problem(400, "a poll is one byte: the type of the newest message at hand");
  std::unique_lock lock(mutex_);
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPollWaitMs);
  for (;;) {
    const std::uint64_t seen = coordinator_.version();
    auto message = coordinator_.poll(client, attempt, body[0]);
    if (!message) return problem(message.error());
    if (!message->empty() || stopping_) return answer(std::move(*message));
    const bool news = changed_.wait_until(
        lock, give_up, [&] { return stopping_ || coordinator_.version() != seen; });
    if (!news) return answer({});
  }
}

}  // namespace inkling
