#pragma once
// TCP sockets: an owner for the descriptor, and the two ways to get one. IPv4 and IPv6.

#include <cstdint>
#include <string>
#include <utility>

#include "runtime/base/result.h"

namespace inkling {

// Owns a descriptor. -1 is no socket.
class Socket {
 public:
  explicit Socket(int descriptor = -1) : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }
  int get() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  void close();
  int release() { return std::exchange(descriptor_, -1); }  // to another owner

 private:
  int descriptor_;
};

// Connects to a name or address, trying each of its addresses until deadline_ms (steady), with
// Nagle's delay off. Looking a name up may itself take longer than that. kNetwork on failure.
Result<Socket> connect_tcp(const std::string& host, std::uint16_t port, std::int64_t deadline_ms);

// Listens on a numeric address; port 0 lets the system choose. kNetwork: the address is taken, or
// not ours.
Result<Socket> listen_tcp(const std::string& address, std::uint16_t port, int backlog);

// The port that a listening socket got.
std::uint16_t local_port(const Socket& socket);

}  // namespace inkling
