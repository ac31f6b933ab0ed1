#include "server-sim/https/connection_table.h"

#include <sys/socket.h>

namespace inkling {

ConnectionTable::Seat::Seat(ConnectionTable& table, Socket socket, std::string peer)
    : table_(&table), socket_(std::move(socket)), peer_(std::move(peer)) {}

ConnectionTable::Seat::Seat(Seat&& other) noexcept
    : table_(other.table_), socket_(std::move(other.socket_)), peer_(std::move(other.peer_)) {}

ConnectionTable::Seat::~Seat() {
  if (socket_.is_open()) table_->leave(socket_.get(), peer_);
}

std::optional<ConnectionTable::Seat> ConnectionTable::admit(Socket socket, std::string peer) {
  const std::scoped_lock lock(mutex_);
  if (sockets_.size() >= total_max_) return std::nullopt;
  std::size_t& of_peer = per_peer_[peer];
  if (per_peer_max_ != 0 && of_peer >= per_peer_max_) return std::nullopt;
  ++of_peer;
  sockets_.insert(socket.get());
  return Seat(*this, std::move(socket), std::move(peer));
}

void ConnectionTable::end_reading() {
  const std::scoped_lock lock(mutex_);
  for (const int socket : sockets_) ::shutdown(socket, SHUT_RD);
}

void ConnectionTable::leave(int socket, const std::string& peer) {
  const std::scoped_lock lock(mutex_);
  sockets_.erase(socket);
  const auto of_peer = per_peer_.find(peer);
  if (--of_peer->second == 0) per_peer_.erase(of_peer);
}

}  // namespace inkling
