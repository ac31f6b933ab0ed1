#pragma once
// Frontend: cpp-httplib's server, hardened. Private to this folder.
//
// The library accepts, parses, reads bodies, routes, and writes answers; it never touches a socket
// of a client. It works on an Exchange, which decides what it may read and when it is too late.

#include <httplib.h>

#include <atomic>
#include <functional>

#include "federated/http/socket.h"

namespace inkling {

// One request and its answer, as the library sees them. Whoever implements read() gives the library
// a request for "/" that has been checked: what it asks for is the implementer's secret.
class Exchange : public httplib::Stream {
 public:
  // Fills in the answer. reader gives the body, if the request can have one.
  virtual void answer(httplib::Response& response, const httplib::ContentReader* reader) = 0;
  virtual bool is_last() const = 0;  // asked after answer(): the connection closes afterwards

  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  void get_local_ip_and_port(std::string&, int&) const override {}
  void get_remote_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return INVALID_SOCKET; }
};

class Frontend final : public httplib::Server {
 public:
  // arrived is called for each connection, on the thread that accepts.
  explicit Frontend(std::function<void(Socket)> arrived);

  // Accepts until stopping is set and the listener shut down; outlives whatever accept() reports.
  void accept_on(const Socket& listener, const std::atomic<bool>& stopping);

  // Reads the request from the exchange and writes its answer there. Any thread. False: failed.
  bool process(Exchange& exchange);

 private:
  bool process_and_close_socket(socket_t socket) override;

  const std::function<void(Socket)> arrived_;
};

}  // namespace inkling
