// The HTTP face of a coordinator, with requests as values: no sockets.

#include "server-sim/coordinator/service.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "federated/join_request.h"
#include "federated/secagg/envelope.h"
#include "tests/server_sim/task_world.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kDevices = 4;

// Far below the wait of a poll (10 s) and far above what a busy machine needs to wake a thread.
constexpr auto kSoon = std::chrono::seconds(5);

class ServiceTest : public ScratchTest {
 protected:
  void SetUp() override {
    ScratchTest::SetUp();
    world_ = std::make_unique<TaskWorld>(folder_, kDevices);
    service_ = std::make_unique<Service>(*std::move(world_->coordinator), world_->clock);
    world_->coordinator.reset();
  }

  HttpResponse ask(const std::string& method, const std::string& path, Bytes body = {}) {
    return service_->handle(
        {.method = method, .path = path, .query = "", .body = std::move(body), .peer = "test"});
  }
  HttpResponse post(const std::string& path, Bytes body = {}) {
    return ask("POST", path, std::move(body));
  }
  HttpResponse join(std::size_t index) {
    return post(
        client(index) + "/join",
        federated::make_join_request(world_->devices[index].identity, world_->clock.unix_ms()));
  }
  static std::string client(std::size_t index) { return "/v1/clients/" + to_hex(device_id(index)); }

  std::unique_ptr<TaskWorld> world_;
  std::unique_ptr<Service> service_;
};

// A device's wire to the service, with what an HTTP client makes of a refusal.
class ServiceTransport final : public Transport {
 public:
  explicit ServiceTransport(Service& service) : service_(service) {}
  Result<Bytes> exchange(std::string_view path, ByteSpan body, std::int64_t) override {
    HttpResponse response = service_.handle({.method = "POST",
                                             .path = std::string(path),
                                             .query = "",
                                             .body = Bytes(body.begin(), body.end()),
                                             .peer = "test"});
    if (response.status == 200) return std::move(response.body);
    return fail(ErrorCode::kProtocol, "HTTP ", response.status, " ", as_text(response.body));
  }

 private:
  Service& service_;
};

struct Route {
  const char* method;
  std::string path;
  int status;
};

TEST_F(ServiceTest, RefusesWhatIsNoRequestOfADevice) {
  const std::string id = to_hex(device_id(0)), device = "/v1/clients/" + id;
  const std::vector<Route> routes = {
      {"GET", "/", 404},
      {"POST", "/", 404},
      {"GET", "/v1", 404},
      {"GET", "/v2/clients/" + id + "/join", 404},
      {"POST", "//v1/clients/" + id + "/join", 404},
      {"POST", "/v1/client/" + id + "/join", 404},
      {"POST", "/v1/clients//join", 404},
      {"POST", "/v1/clients/" + id.substr(2) + "/join", 404},
      {"POST", "/v1/clients/" + id + "00/join", 404},
      {"POST", "/v1/clients/" + id.substr(1) + "g/join", 404},
      {"POST", "/v1/clients/" + id.substr(1) + "/join", 404},
      {"POST", device, 404},
      {"POST", device + "/", 404},
      {"POST", device + "/leave", 404},
      {"POST", device + "/join/", 404},
      {"POST", device + "/join/now", 404},
      {"POST", device + "/rounds", 404},
      {"POST", device + "/rounds/1.1", 404},
      {"POST", device + "/rounds/1.1/", 404},
      {"POST", device + "/rounds/1.1/polls", 404},
      {"POST", device + "/rounds/1.1/poll/", 404},
      {"POST", device + "/rounds/1.1/message/x", 404},
      {"POST", device + "/rounds/1/poll", 404},
      {"POST", device + "/rounds/.1/poll", 404},
      {"POST", device + "/rounds/1./poll", 404},
      {"POST", device + "/rounds/1.1.1/poll", 404},
      {"POST", device + "/rounds/-1.1/poll", 404},
      {"POST", device + "/rounds/+1.1/poll", 404},
      {"POST", device + "/rounds/ 1.1/poll", 404},
      {"POST", device + "/rounds/1.4294967296/poll", 404},  // an attempt is 32 bits
      {"POST", device + "/rounds/18446744073709551616.1/poll", 404},
      {"GET", device + "/join", 405},
      {"HEAD", device + "/rounds/1.1/poll", 405},
      {"GET", device + "/rounds/1.1/message", 405},
      {"POST", "/healthz", 405},
      {"POST", device + "/rounds/1.1/poll", 400},     // without the byte
      {"POST", device + "/rounds/1.1/message", 404},  // no round is open yet
  };
  for (const Route& route : routes) {
    const HttpResponse response = ask(route.method, route.path);
    EXPECT_EQ(response.status, route.status) << route.method << " " << route.path;
    EXPECT_EQ(response.content_type, "application/problem+json") << route.path;
    EXPECT_NE(as_text(response.body).find(concat("\"status\":", route.status)),
              std::string_view::npos)
        << route.path;
  }
}

TEST_F(ServiceTest, SaysWhichMethodsItAllows) {
  const auto allowed = [&](const char* method, const std::string& path) {
    return std::string(find_field(ask(method, path).fields, "Allow"));
  };
  EXPECT_EQ(allowed("GET", client(0) + "/join"), "POST");
  EXPECT_EQ(allowed("POST", "/healthz"), "GET");
}

TEST_F(ServiceTest, IsHealthy) {
  const HttpResponse response = ask("GET", "/healthz");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(as_text(response.body), "ok\n");
  EXPECT_TRUE(service_->healthy());
}

TEST_F(ServiceTest, IsUnhealthyOnceTheStoreHasFailed) {
  ASSERT_EQ(join(0).status, 200);
  Database other = Database::open(folder_ / "server" / "rounds.sqlite").value();
  const Transaction lock = Transaction::begin(other).value();
  // The first message of a device that the journal must take.
  ServiceTransport wire(*service_);
  TestDevice& device = world_->devices[0];
  federated::Participant participant({.authority = task_authority().public_key(), .policy = {}},
                                     device.identity, wire, *device.state, *device.entropy,
                                     world_->clock);
  EXPECT_FALSE(participant.take_part({}));
  const auto give_up = steady_clock::now() + kSoon;
  while (service_->healthy() && steady_clock::now() < give_up) std::this_thread::yield();
  EXPECT_FALSE(service_->healthy());
  EXPECT_FALSE(service_->failure());
  EXPECT_EQ(ask("GET", "/healthz").status, 503);
  EXPECT_EQ(join(1).status, 500);
}

class OperatorTest : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    service_.reset();
    service_ = std::make_unique<Service>(world_->open_coordinator().value(), world_->clock, kToken);
  }
  HttpResponse operate(const std::string& method, const std::string& path, HttpFields more = {}) {
    HttpRequest request{.method = method, .path = path, .query = "", .peer = "test"};
    request.fields = std::move(more);
    request.fields.emplace_back("authorization", std::string("Bearer ") + kToken);
    return service_->handle(request);
  }
  static std::string body(const HttpResponse& response) {
    return std::string(as_text(response.body));
  }
  static constexpr const char* kToken = "a token for operators";
};

TEST_F(OperatorTest, WantsTheToken) {
  for (const char* const path : {"/metrics", "/v1/events", "/v1/admin/cancel"}) {
    const HttpResponse refused = ask("GET", path);
    EXPECT_EQ(refused.status, 401) << path;
    EXPECT_EQ(find_field(refused.fields, "WWW-Authenticate"), "Bearer");
    HttpRequest wrong{.method = "GET", .path = path, .query = "", .peer = "test"};
    for (const char* const given :
         {"Bearer a token for operatorz", "Bearer ", "a token for operators"}) {
      wrong.fields = {{"authorization", given}};
      EXPECT_EQ(service_->handle(wrong).status, 401) << given;
    }
  }
  EXPECT_EQ(operate("GET", "/v1/admin/nothing").status, 404);
  EXPECT_EQ(operate("GET", "/v1/admin/cancel").status, 405);
  EXPECT_EQ(operate("POST", "/metrics").status, 405);
  EXPECT_EQ(ask("GET", "/readyz").status, 200);
  Service nobodys(TaskWorld(folder_ / "other", 4).open_coordinator().value(), world_->clock);
  EXPECT_EQ(nobodys
                .handle({.method = "GET",
                         .path = "/metrics",
                         .query = "",
                         .fields = {{"authorization", "Bearer "}},
                         .peer = "test"})
                .status,
            404)
      << "an empty token opened the door";
}

TEST_F(OperatorTest, CountsInOpenMetrics) {
  ASSERT_EQ(join(0).status, 200);
  EXPECT_EQ(post(client(1) + "/join").status, 422);
  const HttpResponse response = operate("GET", "/metrics");
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
  const std::string text = body(response);
  EXPECT_NE(text.find("\ninkling_seats_given_total 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\ninkling_joins_refused_total 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("# TYPE inkling_attempt_open gauge\n"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("\n# EOF\n"));
}

// The stream up to where the text is in it.
std::string read_until(const HttpResponse& stream, std::string_view text) {
  std::string all;
  const auto give_up = steady_clock::now() + kSoon;
  while (all.find(text) == std::string::npos && steady_clock::now() < give_up) {
    const auto piece = stream.next_piece();
    if (!piece) break;
    all += as_text(*piece);
  }
  return all;
}

TEST_F(OperatorTest, StreamsWhatHappensAndCancels) {
  const HttpResponse stream = operate("GET", "/v1/events");
  ASSERT_EQ(stream.status, 200);
  EXPECT_EQ(stream.content_type, "text/event-stream");
  const std::string first = read_until(stream, "\n\nid: 1");
  EXPECT_TRUE(first.starts_with("retry: 1000\n\n")) << first;
  EXPECT_NE(first.find("id: 1\ndata: {\"rounds_done\":0"), std::string::npos) << first;
  auto waiting = std::async(std::launch::async, [&] { return read_until(stream, "advertising"); });
  ASSERT_EQ(join(0).status, 200);
  const std::string second = waiting.get();
  EXPECT_NE(second.find("\"phase\":\"advertising\""), std::string::npos) << second;
  EXPECT_EQ(second.find("id: 1\n"), std::string::npos) << "an event twice";
  ASSERT_EQ(operate("POST", "/v1/admin/cancel").status, 200);
  EXPECT_EQ(operate("POST", "/v1/admin/cancel").status, 409);
  const std::string resumed =
      read_until(operate("GET", "/v1/events", {{"last-event-id", "2"}}), "\"aborted\":1");
  EXPECT_NE(resumed.find("id: 3\n"), std::string::npos) << resumed;
  EXPECT_EQ(resumed.find("id: 2\n"), std::string::npos) << resumed;
  EXPECT_EQ(operate("GET", "/v1/events", {{"last-event-id", "x"}}).status, 400);
}

TEST_F(OperatorTest, WatchersAreLimitedAndLeaveTheirPlace) {
  {
    std::vector<HttpResponse> watching;
    for (int i = 0; i < kWatchersMax; ++i) {
      watching.push_back(operate("GET", "/v1/events"));
      ASSERT_EQ(watching.back().status, 200);
    }
    EXPECT_EQ(operate("GET", "/v1/events").status, 503);
    EXPECT_EQ(operate("GET", "/v1/events").status, 503) << "a refusal took a place";
  }
  const HttpResponse again = operate("GET", "/v1/events");
  ASSERT_EQ(again.status, 200);
  service_->stop();
  EXPECT_TRUE(again.next_piece()) << "the first piece";
  EXPECT_FALSE(again.next_piece()) << "a stream outlives the service";
}

TEST_F(ServiceTest, BindsDevicesToTheirCertificatesWhereTheyShowThem) {
  service_.reset();
  service_ = std::make_unique<Service>(world_->open_coordinator().value(), world_->clock, "", true);
  HttpRequest request{.method = "POST", .path = client(0) + "/join", .query = "", .peer = "test"};
  request.body = federated::make_join_request(world_->devices[0].identity, world_->clock.unix_ms());
  EXPECT_EQ(service_->handle(request).status, 403);
  request.certificate_name = to_hex(device_id(1));
  EXPECT_EQ(service_->handle(request).status, 403);
  request.certificate_name = to_hex(device_id(0));
  EXPECT_EQ(service_->handle(request).status, 200);
  EXPECT_EQ(ask("GET", "/healthz").status, 200);
}

TEST_F(ServiceTest, SeatsADeviceAndGivesItTheOffer) {
  const HttpResponse joined = join(0);
  ASSERT_EQ(joined.status, 200);
  const auto seat = federated::decode_invitation(joined.body).value();
  EXPECT_EQ(seat.seat, federated::Seat::kTaken);
  EXPECT_EQ(seat.attempt, (secagg::Attempt{1, 1}));
  const HttpResponse polled = post(client(0) + "/rounds/1.1/poll", {0});
  ASSERT_EQ(polled.status, 200);
  EXPECT_FALSE(polled.body.empty());
  EXPECT_EQ(post(client(0) + "/rounds/1.2/poll", {0}).status, 404);
  EXPECT_EQ(post(client(0) + "/rounds/1.1/poll", {0, 0}).status, 400);
  EXPECT_EQ(post(client(0) + "/rounds/1.1/message", {1, 2, 3}).status, 422);
}

TEST_F(ServiceTest, PlaysARoundWithDevicesThatWaitForEachOther) {
  std::vector<std::future<Result<federated::Participation>>> running;
  for (TestDevice& device : world_->devices) {
    running.push_back(std::async(std::launch::async, [this, &device] {
      ServiceTransport wire(*service_);
      federated::Participant participant({.authority = task_authority().public_key(), .policy = {}},
                                         device.identity, wire, *device.state, *device.entropy,
                                         world_->clock);
      return participant.take_part([&](const auto&, const auto&) -> Result<federated::LocalUpdate> {
        return federated::LocalUpdate{.delta = device.delta};
      });
    }));
  }
  const auto start = steady_clock::now();
  for (auto& future : running) {
    const auto played = future.get();
    ASSERT_TRUE(played) << played.error().message;
    EXPECT_EQ(played->result.code, secagg::RoundCode::kOk);
    EXPECT_EQ(played->result.survivors, kDevices);
    EXPECT_GT(played->bytes_up, 0u);
  }
  // Each of the four waits ended with the last message of the phase, not with the poll's patience.
  EXPECT_LT(steady_clock::now() - start, std::chrono::milliseconds(kPollWaitMs));
}

TEST_F(ServiceTest, ReleasesWaitingPollsWhenItStops) {
  for (std::size_t i = 0; i < 3; ++i) ASSERT_EQ(join(i).status, 200);
  const Bytes offer = post(client(0) + "/rounds/1.1/poll", {0}).body;
  ASSERT_FALSE(offer.empty());
  const auto type = static_cast<std::uint8_t>(secagg::MessageType::kOffer);
  std::atomic<int> entered = 0;
  std::vector<std::future<HttpResponse>> polls;
  for (std::size_t i = 0; i < 3; ++i) {
    polls.push_back(std::async(std::launch::async, [&, i] {
      ++entered;
      return post(client(i) + "/rounds/1.1/poll", {type});
    }));
  }
  while (entered < 3) std::this_thread::yield();
  EXPECT_EQ(polls[0].wait_for(std::chrono::milliseconds(100)), std::future_status::timeout)
      << "answered without news";
  const auto start = steady_clock::now();
  service_->stop();
  for (auto& poll : polls) {
    const HttpResponse response = poll.get();
    EXPECT_EQ(response.status, 200);
    EXPECT_TRUE(response.body.empty());
  }
  EXPECT_LT(steady_clock::now() - start, kSoon);
  service_->stop();  // again is harmless
}

// Each poll that waits holds a thread: nobody gets more of them than he has seats.
TEST_F(ServiceTest, KeepsOnePollOfADeviceWaitingAndNoneOfAStranger) {
  ASSERT_EQ(join(0).status, 200);
  const auto type = static_cast<std::uint8_t>(secagg::MessageType::kOffer);
  const auto start = steady_clock::now();
  const HttpResponse stranger = post(client(1) + "/rounds/1.1/poll", {type});
  EXPECT_EQ(stranger.status, 200);
  EXPECT_TRUE(stranger.body.empty());
  constexpr std::size_t kPolls = 8;
  std::vector<std::future<HttpResponse>> polls;
  for (std::size_t i = 0; i < kPolls; ++i) {
    polls.push_back(std::async(std::launch::async,
                               [&] { return post(client(0) + "/rounds/1.1/poll", {type}); }));
  }
  const auto waiting = [&] {
    return std::count_if(polls.begin(), polls.end(), [](const auto& poll) {
      return poll.wait_for(std::chrono::milliseconds(0)) == std::future_status::timeout;
    });
  };
  while (waiting() > 1 && steady_clock::now() - start < kSoon) std::this_thread::yield();
  EXPECT_LT(steady_clock::now() - start, kSoon);
  EXPECT_EQ(waiting(), 1);
  ASSERT_EQ(join(2).status, 200);  // no news for client 0
  EXPECT_EQ(waiting(), 1);
  service_->stop();
  for (auto& poll : polls) EXPECT_TRUE(poll.get().body.empty());
}

TEST_F(ServiceTest, EndsAPhaseAtItsDeadlineWithoutBeingAsked) {
  ASSERT_EQ(join(0).status, 200);
  service_.reset();  // its clock must not move under it
  world_->clock.advance(world_->spec.config.phase_ms[0]);
  service_ = std::make_unique<Service>(world_->open_coordinator().value(), world_->clock);
  const auto type = static_cast<std::uint8_t>(secagg::MessageType::kOffer);
  const auto start = steady_clock::now();
  HttpResponse released;  // the seat is forgotten, so nobody is kept waiting for it
  do {
    released = post(client(0) + "/rounds/1.1/poll", {type});
    ASSERT_EQ(released.status, 200);
  } while (released.body.empty() && steady_clock::now() - start < kSoon);
  EXPECT_EQ(secagg::open_envelope(released.body).value().type, secagg::MessageType::kResult);
  EXPECT_LT(steady_clock::now() - start, kSoon);
  const auto seat = federated::decode_invitation(join(1).body).value();
  EXPECT_EQ(seat.attempt, (secagg::Attempt{1, 2}));
}

}  // namespace
}  // namespace inkling
