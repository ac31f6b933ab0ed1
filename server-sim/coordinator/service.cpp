#include "server-sim/coordinator/service.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "federated/secagg/secret.h"

namespace inkling {

namespace {

constexpr auto kTick = std::chrono::milliseconds(50);
constexpr auto kWatchSlice = std::chrono::milliseconds(500);  // how soon a watcher's end is seen

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

HttpResponse text(std::string_view body, std::string content_type) {
  HttpResponse response = answer(Bytes(body.begin(), body.end()));
  response.content_type = std::move(content_type);
  return response;
}

HttpResponse not_allowed(std::string_view allowed) {
  HttpResponse response = problem(405, concat("expected ", allowed));
  response.fields.emplace_back("Allow", allowed);
  return response;
}

}  // namespace

Service::Service(Coordinator coordinator, const Clock& clock, std::string admin_token,
                 bool binds_certificates)
    : coordinator_(std::move(coordinator)),
      clock_(clock),
      admin_token_(std::move(admin_token)),
      binds_certificates_(binds_certificates) {
  note_events();
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
    if (!failure_ || coordinator_.version() != before) {
      note_events();
      changed_.notify_all();
    }
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
  const bool ready = request.path == "/readyz";
  if (ready || request.path == "/healthz") {
    if (request.method != "GET") return not_allowed("GET");
    const std::lock_guard lock(mutex_);
    if (!failure_) return problem(503, "the coordinator has failed");
    if (ready && stopping_) return problem(503, "the server is stopping");
    return text("ok\n", "text/plain");
  }
  const bool operates = request.path == "/metrics" || request.path == "/v1/events" ||
                        request.path.starts_with("/v1/admin/");
  return operates ? operate(request) : device(request);
}

// In time that depends on the lengths alone.
bool Service::is_operator(const HttpRequest& request) const {
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view given = request.field("authorization");
  return given.starts_with(kScheme) &&
         secagg::equal_in_constant_time(as_bytes(given.substr(kScheme.size())),
                                        as_bytes(admin_token_));
}

HttpResponse Service::operate(const HttpRequest& request) {
  if (admin_token_.size() < kAdminTokenBytesMin) return problem(404, "no such resource");
  if (!is_operator(request)) {
    HttpResponse response = problem(401, "expected the operator's token");
    response.fields.emplace_back("WWW-Authenticate", "Bearer");
    return response;
  }
  const bool posts = request.path == "/v1/admin/cancel";
  if (!posts && request.path != "/metrics" && request.path != "/v1/events")
    return problem(404, "no such resource");
  if (request.method != (posts ? "POST" : "GET")) return not_allowed(posts ? "POST" : "GET");
  if (posts) return cancel();
  return request.path == "/metrics" ? metrics() : events(request);
}

HttpResponse Service::cancel() {
  const std::lock_guard lock(mutex_);
  const auto cancelled = coordinator_.cancel(clock_.unix_ms());
  note_events();
  changed_.notify_all();
  return cancelled ? answer({}) : problem(cancelled.error());
}

// OpenMetrics 1.0 text.
HttpResponse Service::metrics() {
  const std::lock_guard lock(mutex_);
  const CoordinatorStats& stats = coordinator_.stats();
  std::string out;
  const auto family = [&](std::string_view name, std::string_view type, std::string_view help) {
    out += concat("# TYPE inkling_", name, " ", type, "\n# HELP inkling_", name, " ", help, "\n");
  };
  const auto counter = [&](std::string_view name, std::string_view help, std::uint64_t value) {
    family(name, "counter", help);
    out += concat("inkling_", name, "_total ", value, "\n");
  };
  const auto gauge = [&](std::string_view name, std::string_view help, auto value) {
    family(name, "gauge", help);
    out += concat("inkling_", name, " ", value, "\n");
  };
  counter("seats_given", "Devices seated in an attempt.", stats.seats_given);
  counter("joins_deferred", "Devices told to come back.", stats.joins_deferred);
  counter("joins_refused", "Join requests that did not hold.", stats.joins_refused);
  counter("messages_accepted", "Protocol messages taken in.", stats.messages_accepted);
  counter("messages_refused", "Protocol messages that did not hold.", stats.messages_refused);
  counter("rounds_ok", "Rounds that made a model.", stats.rounds_ok);
  counter("attempts_aborted", "Attempts that ended without one.", stats.attempts_aborted);
  gauge("rounds_done", "Rounds of the task that are done.", coordinator_.rounds_done());
  const auto progress = coordinator_.progress();
  gauge("attempt_open", "1 while an attempt is open.", progress ? 1 : 0);
  gauge("attempt_answered", "Answers in the open attempt's phase.",
        progress ? progress->answered : 0);
  if (const auto spent = coordinator_.spent(); spent && *spent)
    gauge("epsilon_spent", "Privacy loss of the task so far.", (*spent)->epsilon);
  out += "# EOF\n";
  return text(out, "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

HttpResponse Service::events(const HttpRequest& request) {
  std::uint64_t seen = 0;
  const std::string_view last = request.field("last-event-id");
  if (!last.empty() && !parse_number(last, seen))
    return problem(400, "Last-Event-ID: expected a number");
  // Held by the stream, and so given up with it.
  const std::shared_ptr<void> place(nullptr, [this](void*) { --watchers_; });
  if (++watchers_ > kWatchersMax) return problem(503, "too many watch already");
  HttpResponse response = text({}, "text/event-stream");
  response.next_piece = [this, place, seen, began = false]() mutable -> std::optional<Bytes> {
    if (began) return next_events(seen);
    began = true;
    constexpr std::string_view kRetry = "retry: 1000\n\n";
    return Bytes(kRetry.begin(), kRetry.end());
  };
  return response;
}

// What has happened since the last event that the watcher has, as soon as there is something.
std::optional<Bytes> Service::next_events(std::uint64_t& seen) {
  std::unique_lock lock(mutex_);
  const auto has_news = [&] { return stopping_ || (!events_.empty() && events_.back().id > seen); };
  changed_.wait_for(lock, kWatchSlice, has_news);
  if (stopping_) return std::nullopt;
  std::string out;
  for (const ServiceEvent& event : events_) {
    if (event.id > seen) out += concat("id: ", event.id, "\ndata: ", event.data, "\n\n");
  }
  if (!events_.empty()) seen = std::max(seen, events_.back().id);
  return Bytes(out.begin(), out.end());
}

// Adds an event when the coordinator's state is not what it was. Called with the lock held, or
// before there are threads.
void Service::note_events() {
  constexpr std::array<std::string_view, 7> kPhases = {
      "advertising", "sharing", "masking", "confirming", "unmasking", "done", "aborted"};
  const auto progress = coordinator_.progress();
  std::string state = concat("{\"rounds_done\":", coordinator_.rounds_done(),
                             ",\"aborted\":", coordinator_.stats().attempts_aborted);
  if (progress) {
    state +=
        concat(",\"round\":", progress->attempt.round, ",\"attempt\":", progress->attempt.attempt,
               ",\"phase\":\"", kPhases[static_cast<std::size_t>(progress->phase)], "\"");
  }
  state += concat(",\"finished\":", coordinator_.finished() ? "true" : "false", "}");
  if (state == last_state_) return;
  last_state_ = state;
  events_.push_back({.id = events_.empty() ? 1 : events_.back().id + 1, .data = std::move(state)});
  if (events_.size() > kEventsKept) events_.pop_front();
}

Result<void> Service::set_revocations(federated::Revocations list) {
  const std::lock_guard lock(mutex_);
  return coordinator_.set_revocations(std::move(list));
}

HttpResponse Service::device(const HttpRequest& request) {
  std::string_view path = request.path;
  secagg::ClientId client{};
  secagg::Attempt attempt;
  const bool known = !path.ends_with('/') && next_part(path).empty() && next_part(path) == "v1" &&
                     next_part(path) == "clients" && parse_client(next_part(path), client);
  if (!known) return problem(404, "no such resource");
  if (binds_certificates_ && request.certificate_name != to_hex(client))
    return problem(403, "the certificate is not this device's");
  const std::string_view what = next_part(path);
  const bool joins = what == "join" && path.empty();
  const bool plays = what == "rounds" && parse_attempt(next_part(path), attempt) &&
                     (path == "poll" || path == "message");
  if (!joins && !plays) return problem(404, "no such resource");
  if (request.method != "POST") return not_allowed("POST");
  if (joins) {
    const std::lock_guard lock(mutex_);
    const auto invitation = coordinator_.join(client, request.body, clock_.unix_ms());
    note_events();
    changed_.notify_all();
    return invitation ? answer(*invitation) : problem(invitation.error());
  }
  if (path == "poll") return poll(client, attempt, request.body);
  const std::lock_guard lock(mutex_);
  const auto received = coordinator_.receive(client, attempt, request.body, clock_.unix_ms());
  note_events();
  changed_.notify_all();
  return received ? answer({}) : problem(received.error());
}

HttpResponse Service::poll(const secagg::ClientId& client, const secagg::Attempt& attempt,
                           ByteSpan body) {
  if (body.size() != 1)
    return problem(400, "a poll is one byte: the type of the newest message at hand");
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = ++polls_;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPollWaitMs);
  for (;;) {
    const std::uint64_t seen = coordinator_.version();
    auto message = coordinator_.poll(client, attempt, body[0]);
    if (!message) return problem(message.error());
    if (!message->empty() || stopping_ || !coordinator_.may_wait(client))
      return answer(std::move(*message));
    // One thread a device at most waits, whoever says to be it.
    const auto [place, is_first] = waiting_.try_emplace(client, ticket);
    if (place->second > ticket) return answer({});
    if (!is_first && place->second < ticket) {
      place->second = ticket;
      changed_.notify_all();
    }
    const auto is_newest = [&] {
      const auto found = waiting_.find(client);
      return found != waiting_.end() && found->second == ticket;
    };
    const bool news = changed_.wait_until(
        lock, give_up, [&] { return stopping_ || coordinator_.version() != seen || !is_newest(); });
    if (!is_newest()) return answer({});
    waiting_.erase(client);
    if (!news) return answer({});
  }
}

}  // namespace inkling
