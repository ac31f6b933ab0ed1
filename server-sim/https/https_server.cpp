#include "server-sim/https/https_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <csignal>

#include <array>
#include <new>
#include <thread>

#include "server-sim/https/connection.h"
#include "server-sim/https/frontend.h"
#include "server-sim/https/worker_pool.h"

namespace inkling {
namespace {

constexpr int kBacklog = 4096;
constexpr std::size_t kTurnAwayWorkers = 2;
constexpr std::size_t kTurnAwayWaitingMax = 64;

// Of the other end, without port.
std::string peer_address(const Socket& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  const auto generic = reinterpret_cast<sockaddr*>(&address);
  std::array<char, NI_MAXHOST> host{};
  if (::getpeername(socket.get(), generic, &size) != 0 ||
      ::getnameinfo(generic, size, host.data(), static_cast<socklen_t>(host.size()), nullptr, 0,
                    NI_NUMERICHOST) != 0) {
    return "unknown";
  }
  return host.data();
}

Result<void> check_limits(const HttpsServerLimits& limits) {
  if (limits.workers_max == 0 || limits.connections_max == 0 || limits.head_bytes_max == 0 ||
      limits.bytes_per_s_min <= 0 || limits.requests_per_connection_max == 0) {
    return fail(ErrorCode::kInvalidArgument, "https server: a limit is 0, expected at least 1");
  }
  return {};
}

}  // namespace

struct HttpsServer::State {
  State(TlsContext context, const HttpsServerLimits& limits, HttpHandler handler, Socket listening)
      : shared(std::move(context), limits, std::move(handler)),
        listener(std::move(listening)),
        table(limits.connections_max, limits.connections_per_peer_max),
        workers(limits.workers_max, limits.waiting_max,
                [this](const ConnectionTable::Seat& seat) { serve_connection(shared, seat); }),
        door(kTurnAwayWorkers, kTurnAwayWaitingMax,
             [this](const ConnectionTable::Seat& seat) { turn_away(shared, seat); }),
        frontend([this](Socket socket) { arrive(std::move(socket)); }) {
    shared.frontend = &frontend;
    shared.others_wait = [this] { return workers.waiting() > 0; };
  }

  void accept_connections();
  void arrive(Socket socket);

  ServerShared shared;
  Socket listener;
  ConnectionTable table;
  WorkerPool workers;
  WorkerPool door;  // says 503 when the workers' line is full
  Frontend frontend;
  std::thread acceptor;
};

// Signals are for the threads of the program: here and in the workers, which this thread starts,
// they would only interrupt system calls.
void HttpsServer::State::accept_connections() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  frontend.accept_on(listener, shared.stopping);
}

void HttpsServer::State::arrive(Socket socket) try {
  ++shared.connections;
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::string peer = peer_address(socket);
  auto seat = table.admit(std::move(socket), std::move(peer));
  if (!seat) {
    ++shared.turned_away;
  } else if (!workers.offer(*seat)) {
    ++shared.turned_away;
    door.offer(*seat);  // if even this line is full, the seat goes and the connection closes
  }
} catch (const std::bad_alloc&) {
  ++shared.turned_away;
}

HttpsServer::HttpsServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpsServer::~HttpsServer() { stop(); }

Result<std::unique_ptr<HttpsServer>> HttpsServer::start(TlsContext context, HttpsServerSpec spec,
                                                        HttpHandler handler) {
  INK_CHECK_OK(check_limits(spec.limits));
  INK_TRY(Socket listener, listen_tcp(spec.address, spec.port, kBacklog));
  auto state = std::make_unique<State>(std::move(context), spec.limits, std::move(handler),
                                       std::move(listener));
  try {
    state->acceptor = std::thread([s = state.get()] { s->accept_connections(); });
  } catch (const std::system_error& error) {
    return fail(ErrorCode::kResourceLimit, "https server: no thread: ", error.what());
  }
  return std::unique_ptr<HttpsServer>(new HttpsServer(std::move(state)));
}

void HttpsServer::stop() {
  if (!state_->acceptor.joinable()) return;
  state_->shared.stopping = true;
  ::shutdown(state_->listener.get(), SHUT_RDWR);  // wakes the acceptor
  state_->acceptor.join();
  state_->listener.close();
  state_->table.end_reading();
  state_->workers.stop();
  state_->door.stop();
}

std::uint16_t HttpsServer::port() const { return local_port(state_->listener); }

HttpsServerStats HttpsServer::stats() const {
  const ServerShared& shared = state_->shared;
  return {.connections = shared.connections,
          .turned_away = shared.turned_away,
          .handshakes_failed = shared.handshakes_failed,
          .requests = shared.requests,
          .refusals = shared.refusals};
}

}  // namespace inkling
