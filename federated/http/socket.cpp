#include "federated/http/socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>

#include "federated/http/tls.h"

namespace inkling {
namespace {

struct AddressesFreer {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, AddressesFreer>;

Result<Addresses> resolve(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (failed != 0) return fail(ErrorCode::kNetwork, host, ":", port, ": ", ::gai_strerror(failed));
  return Addresses(list);
}

Socket new_socket(const addrinfo& address, int flags) {
  return Socket(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
}

// 0, or the errno that says why not.
int connect_one(const Socket& socket, const addrinfo& address, std::int64_t deadline_ms) {
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS && errno != EINTR) return errno;
  pollfd entry{.fd = socket.get(), .events = POLLOUT, .revents = 0};
  for (;;) {
    const std::int64_t left = std::clamp<std::int64_t>(deadline_ms - steady_now_ms(), 0, INT_MAX);
    const int ready = ::poll(&entry, 1, static_cast<int>(left));
    if (ready == 0) return ETIMEDOUT;
    if (ready > 0) break;
    if (errno != EINTR) return errno;
  }
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    descriptor_ = std::exchange(other.descriptor_, -1);
  }
  return *this;
}

void Socket::close() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

Result<Socket> connect_tcp(const std::string& host, std::uint16_t port, std::int64_t deadline_ms) {
  INK_TRY(const Addresses addresses, resolve(host, port, 0));
  int error = EADDRNOTAVAIL;
  for (const addrinfo* a = addresses.get(); a != nullptr; a = a->ai_next) {
    Socket socket = new_socket(*a, SOCK_NONBLOCK);
    error = socket.is_open() ? connect_one(socket, *a, deadline_ms) : errno;
    if (error != 0) continue;
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return socket;
  }
  return fail(ErrorCode::kNetwork, "connect ", host, ":", port, ": ", std::strerror(error));
}

Result<Socket> listen_tcp(const std::string& address, std::uint16_t port, int backlog) {
  INK_TRY(const Addresses addresses, resolve(address, port, AI_PASSIVE | AI_NUMERICHOST));
  Socket socket = new_socket(*addresses, 0);
  const int on = 1;
  if (!socket.is_open() ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(socket.get(), addresses->ai_addr, addresses->ai_addrlen) != 0 ||
      ::listen(socket.get(), backlog) != 0) {
    return fail(ErrorCode::kNetwork, "listen on ", address, ":", port, ": ", std::strerror(errno));
  }
  return socket;
}

std::uint16_t local_port(const Socket& socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace inkling
