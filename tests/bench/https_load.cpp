// A load test of the HTTPS server: a cohort of TLS clients on loopback, all connected at once.
//
//   https_load [CLIENTS] [BODY_BYTES]
// A child process serves; this one drives all clients from one thread. Every client shakes hands,
// waits for the others with a request that is answered once all have sent theirs, as devices wait
// for the end of a phase, and then uploads its body together with everybody else. Prints one JSON
// object and fails when a figure is out of bounds.

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <mutex>

#include "tests/server_sim/https_fixture.h"

namespace inkling::testing {
namespace {

constexpr double kHandshakesPerSecondMin = 500, kUploadP99MsMax = 1000, kServerMbMax = 150;
constexpr std::int64_t kTotalMsMax = 120'000;
constexpr std::size_t kHandshakesAtOnce = 128;  // what a listener meets when devices spread out

struct LoadSpec {
  std::size_t clients = 2000, body_bytes = 40 << 10;
};

// Answers /wait once all clients wait, and /upload at once.
class Rendezvous {
 public:
  explicit Rendezvous(const LoadSpec& spec) : spec_(spec) {}
  HttpResponse operator()(const HttpRequest& request) {
    if (request.path == "/upload")
      return request.body.size() == spec_.body_bytes ? HttpResponse{} : problem(400, "short");
    std::unique_lock lock(mutex_);
    if (++waiting_ == spec_.clients) all_here_.notify_all();
    all_here_.wait(lock, [&] { return waiting_ >= spec_.clients; });
    return {};
  }

 private:
  LoadSpec spec_;
  std::mutex mutex_;
  std::condition_variable all_here_;
  std::size_t waiting_ = 0;
};

double peak_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  return 0;
}

// The server's process: tells its port, serves until the pipe closes, tells its peak memory.
[[noreturn]] void serve(const TestKeys& keys, const LoadSpec& spec, int to_parent,
                        int from_parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  HttpsServerLimits limits;
  limits.connections_max = spec.clients + 64;
  limits.workers_max = spec.clients + 16;
  limits.waiting_max = spec.clients;
  limits.body_ms = limits.answer_ms = kTotalMsMax;
  limits.idle_ms = kTotalMsMax;
  Rendezvous handler(spec);
  const auto server = start_server(
      keys, [&](const HttpRequest& request) { return handler(request); }, limits);
  const std::uint16_t port = server->port();
  char none = 0;
  if (::write(to_parent, &port, sizeof port) != sizeof port) std::_Exit(1);
  [[maybe_unused]] const ssize_t closed = ::read(from_parent, &none, 1);
  const double peak = peak_mb();
  if (::write(to_parent, &peak, sizeof peak) != sizeof peak) std::_Exit(1);
  server->stop();
  std::_Exit(0);
}

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

enum class Step { kIdle, kShaking, kWaiting, kHeld, kUploading, kDone, kFailed };

struct Client {
  Socket socket;
  std::unique_ptr<SSL, FreeSsl> ssl;
  Step step = Step::kIdle;
  std::string out, in;
  std::size_t sent = 0;
  std::int64_t since_us = 0;
};

std::int64_t now_us() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000 + time.tv_nsec / 1000;
}

std::string request_of(const char* path, std::size_t body_bytes) {
  std::string text = concat(
      "POST ", path, " HTTP/1.1\r\nHost: localhost\r\nContent-Length: ", body_bytes, "\r\n\r\n");
  return text.append(body_bytes, 'u');
}

class Load {
 public:
  Load(const LoadSpec& spec, std::uint16_t port, const TestKeys& keys)
      : spec_(spec),
        port_(port),
        context_(SSL_CTX_new(TLS_client_method())),
        clients_(spec.clients),
        poll_(::epoll_create1(0)) {
    BIO* pem = BIO_new_mem_buf(keys.authority.certificate_pem.data(),
                               static_cast<int>(keys.authority.certificate_pem.size()));
    X509* authority = PEM_read_bio_X509(pem, nullptr, nullptr, nullptr);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), authority);
    X509_free(authority);
    BIO_free(pem);
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_mode(context_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE |
                                         SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                         SSL_MODE_RELEASE_BUFFERS);
  }

  // All clients through their handshakes; seconds.
  double shake_hands() {
    const std::int64_t start = now_us();
    std::size_t begun = 0;
    const auto shaken = [&] { return count(Step::kWaiting) + count(Step::kFailed); };
    while (shaken() < spec_.clients && in_time()) {
      while (begun < spec_.clients && begun - shaken() < kHandshakesAtOnce) begin(begun++);
      turn();
    }
    return static_cast<double>(now_us() - start) / 1e6;
  }

  void wait_for_each_other() {
    for (std::size_t i = 0; i < clients_.size(); ++i) send(i, request_of("/wait", 0), Step::kHeld);
    while (count(Step::kHeld) > 0 && in_time()) turn();
  }

  // Everybody at once; milliseconds from the first byte to the answer, ascending.
  std::vector<double> upload() {
    for (std::size_t i = 0; i < clients_.size(); ++i)
      send(i, request_of("/upload", spec_.body_bytes), Step::kUploading);
    while (count(Step::kUploading) > 0 && in_time()) turn();
    std::sort(latencies_ms_.begin(), latencies_ms_.end());
    return latencies_ms_;
  }

  std::size_t failed() const { return spec_.clients - count(Step::kDone); }

 private:
  std::size_t count(Step step) const { return counts_[static_cast<std::size_t>(step)]; }
  bool in_time() const { return now_us() / 1000 < give_up_ms_; }
  void move(Client& client, Step step) {
    --counts_[static_cast<std::size_t>(client.step)];
    ++counts_[static_cast<std::size_t>(step)];
    client.step = step;
  }

  void begin(std::size_t index) {
    Client& client = clients_[index];
    ++counts_[static_cast<std::size_t>(Step::kIdle)];
    auto socket = connect_tcp("127.0.0.1", port_, steady_now_ms() + 10'000);
    if (!socket) return move(client, Step::kFailed);
    client.socket = *std::move(socket);
    client.ssl.reset(SSL_new(context_.get()));
    SSL_set_fd(client.ssl.get(), client.socket.get());
    SSL_set1_host(client.ssl.get(), "localhost");
    SSL_set_connect_state(client.ssl.get());
    move(client, Step::kShaking);
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.u64 = index}};
    ::epoll_ctl(poll_, EPOLL_CTL_ADD, client.socket.get(), &event);
    advance(client);
  }

  void send(std::size_t index, std::string request, Step step) {
    Client& client = clients_[index];
    if (client.step == Step::kFailed) return;
    client.out = std::move(request);
    client.sent = 0;
    client.in.clear();
    client.since_us = now_us();
    move(client, step);
    advance(client);
  }

  void turn() {
    std::array<epoll_event, 256> events;
    const int ready = ::epoll_wait(poll_, events.data(), events.size(), 50);
    for (int i = 0; i < ready; ++i) advance(clients_[events[std::size_t(i)].data.u64]);
  }

  bool again(Client& client, int result) {
    const int error = SSL_get_error(client.ssl.get(), result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return true;
    move(client, Step::kFailed);
    return false;
  }

  // As far as the socket lets it.
  void advance(Client& client) {
    if (client.step == Step::kShaking) {
      const int done = SSL_do_handshake(client.ssl.get());
      if (done != 1) return void(again(client, done));
      return move(client, Step::kWaiting);
    }
    if (client.step != Step::kHeld && client.step != Step::kUploading) return;
    while (client.sent < client.out.size()) {
      const int size = static_cast<int>(client.out.size() - client.sent);
      const int wrote = SSL_write(client.ssl.get(), client.out.data() + client.sent, size);
      if (wrote <= 0) return void(again(client, wrote));
      client.sent += static_cast<std::size_t>(wrote);
    }
    std::array<char, 4096> buffer;
    for (;;) {
      const int got = SSL_read(client.ssl.get(), buffer.data(), buffer.size());
      if (got <= 0) {
        if (!again(client, got)) return;
        break;
      }
      client.in.append(buffer.data(), static_cast<std::size_t>(got));
    }
    if (client.in.find("\r\n\r\n") == std::string::npos) return;  // answers have no body
    if (!client.in.starts_with("HTTP/1.1 200 ")) return move(client, Step::kFailed);
    if (client.step == Step::kUploading)
      latencies_ms_.push_back(static_cast<double>(now_us() - client.since_us) / 1e3);
    client.out.clear();
    move(client, client.step == Step::kHeld ? Step::kWaiting : Step::kDone);
  }

  LoadSpec spec_;
  std::uint16_t port_;
  std::unique_ptr<SSL_CTX, FreeSsl> context_;
  std::vector<Client> clients_;
  int poll_;
  std::array<std::size_t, 7> counts_{};
  std::vector<double> latencies_ms_;
  const std::int64_t give_up_ms_ = now_us() / 1000 + kTotalMsMax;
};

int run(const LoadSpec& spec) {
  const rlimit files{65'536, 65'536};
  ::setrlimit(RLIMIT_NOFILE, &files);
  std::signal(SIGPIPE, SIG_IGN);
  const TestKeys keys = make_keys();
  int from_server[2], to_server[2];
  if (::pipe(from_server) != 0 || ::pipe(to_server) != 0) return 1;
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(to_server[1]);
    serve(keys, spec, from_server[1], to_server[0]);
  }
  std::uint16_t port = 0;
  if (child < 0 || ::read(from_server[0], &port, sizeof port) != sizeof port) return 1;

  Load load(spec, port, keys);
  const double seconds = load.shake_hands();
  load.wait_for_each_other();
  const std::vector<double> latencies = load.upload();
  const auto at = [&](double share) {
    return latencies.empty() ? 1e9 : latencies[std::size_t(double(latencies.size() - 1) * share)];
  };
  ::close(to_server[1]);
  double server_mb = 0;
  if (::read(from_server[0], &server_mb, sizeof server_mb) != sizeof server_mb) return 1;
  ::waitpid(child, nullptr, 0);

  const double rate = double(spec.clients) / seconds;
  std::cout << "{\"clients\": " << spec.clients << ", \"errors\": " << load.failed()
            << ", \"handshakes_per_s\": " << rate << ", \"upload_p50_ms\": " << at(0.5)
            << ", \"upload_p99_ms\": " << at(0.99) << ", \"server_peak_mb\": " << server_mb
            << "}\n";
  const bool good = load.failed() == 0 && rate >= kHandshakesPerSecondMin &&
                    at(0.99) < kUploadP99MsMax && server_mb < kServerMbMax;
  return good ? 0 : 1;
}

}  // namespace
}  // namespace inkling::testing

int main(int argc, char** argv) {
  inkling::testing::LoadSpec spec;
  if (argc > 1) spec.clients = std::strtoull(argv[1], nullptr, 10);
  if (argc > 2) spec.body_bytes = std::strtoull(argv[2], nullptr, 10);
  return inkling::testing::run(spec);
}
