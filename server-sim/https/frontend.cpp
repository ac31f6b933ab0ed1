#include "server-sim/https/frontend.h"

#include <chrono>
#include <thread>

namespace inkling {
namespace {

constexpr std::chrono::milliseconds kAcceptRetry{10};

// Runs in place: the line of those that wait, and its bounds, are the WorkerPool's.
class NoQueue final : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> task) override { task(); }
  void shutdown() override {}
};

// How a route finds the exchange that it belongs to: a field that the library's server leaves
// alone.
struct Bound {
  Exchange* exchange;
  bool operator()(std::uint64_t, std::uint64_t) const { return true; }
};

Exchange& exchange_of(const httplib::Request& request) {
  return *request.progress.target<Bound>()->exchange;
}

}  // namespace

Frontend::Frontend(std::function<void(Socket)> arrived) : arrived_(std::move(arrived)) {
  new_task_queue = [] { return new NoQueue; };
  Get("/", [](const httplib::Request& request, httplib::Response& response) {
    exchange_of(request).answer(response, nullptr);
  });
  Post("/", [](const httplib::Request& request, httplib::Response& response,
               const httplib::ContentReader& reader) {
    exchange_of(request).answer(response, &reader);
  });
  set_post_routing_handler([](const httplib::Request& request, httplib::Response& response) {
    for (const char* field : {"Keep-Alive", "Accept-Ranges", "Connection"})
      response.headers.erase(field);
    if (exchange_of(request).is_last()) response.set_header("Connection", "close");
  });
  // Without it the library would send the text of an exception to the peer.
  set_exception_handler([](const httplib::Request&, httplib::Response& response,
                           const std::exception_ptr&) { response.status = 500; });
}

void Frontend::accept_on(const Socket& listener, const std::atomic<bool>& stopping) {
  while (!stopping) {
    // The library closes its descriptor when it cannot accept, so it gets one of its own.
    svr_sock_ = ::fcntl(listener.get(), F_DUPFD_CLOEXEC, 0);
    try {
      if (svr_sock_ >= 0) listen_after_bind();
    } catch (const std::exception&) {
      ::close(svr_sock_);
    }
    if (!stopping) std::this_thread::sleep_for(kAcceptRetry);
  }
}

bool Frontend::process(Exchange& exchange) {
  bool closed = false;
  return process_request(exchange, false, closed, [&exchange](httplib::Request& request) {
    request.progress = Bound{&exchange};
  });
}

bool Frontend::process_and_close_socket(socket_t socket) {
  arrived_(Socket(socket));
  return true;
}

}  // namespace inkling
