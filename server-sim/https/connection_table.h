#pragma once
// Who is connected: one seat per connection, capped in total and per peer. Any thread.

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "federated/http/socket.h"

namespace inkling {

class ConnectionTable {
 public:
  // per_peer_max 0 means no cap per peer.
  ConnectionTable(std::size_t total_max, std::size_t per_peer_max)
      : total_max_(total_max), per_peer_max_(per_peer_max) {}

  // One admitted connection. Gives up its place and closes its socket, in this order, when it goes.
  class Seat {
   public:
    Seat(Seat&& other) noexcept;
    Seat& operator=(Seat&&) = delete;
    ~Seat();
    int socket() const { return socket_.get(); }
    const std::string& peer() const { return peer_; }

   private:
    friend class ConnectionTable;
    Seat(ConnectionTable& table, Socket socket, std::string peer);
    ConnectionTable* table_;
    Socket socket_;
    std::string peer_;
  };

  // Nothing when a cap is reached; the socket is closed then. The table must outlive its seats.
  std::optional<Seat> admit(Socket socket, std::string peer);

  // Ends reading on every connection: who waits for a request wakes up, answers still go out.
  void end_reading();

 private:
  void leave(int socket, const std::string& peer);

  const std::size_t total_max_;
  const std::size_t per_peer_max_;
  std::mutex mutex_;
  std::set<int> sockets_;
  std::map<std::string, std::size_t> per_peer_;
};

}  // namespace inkling
