#pragma once
// WorkerPool: threads that serve connections, made as they are needed up to a limit, and a bounded
// line of connections that wait for one.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "server-sim/https/connection_table.h"

namespace inkling {

class WorkerPool {
 public:
  using Serve = std::function<void(ConnectionTable::Seat)>;  // must not throw

  WorkerPool(std::size_t workers_max, std::size_t waiting_max, Serve serve);
  ~WorkerPool() { stop(); }

  // Takes the seat unless the line is full; then the seat stays with the caller. One caller.
  bool offer(ConnectionTable::Seat& seat);

  // Connections in line that no worker is free or being made for.
  std::size_t waiting() const { return waiting_; }

  // Closes what is in line, waits for what is being served, joins. Idempotent.
  void stop();

 private:
  void work();
  void count_waiting();  // under the lock

  const std::size_t workers_max_;
  const std::size_t waiting_max_;
  const Serve serve_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<ConnectionTable::Seat> line_;
  std::vector<std::thread> workers_;
  std::size_t free_ = 0;  // workers that wait
  std::atomic<std::size_t> waiting_{0};
  bool lacks_threads_ = false;  // the machine had none left when last asked
  bool stopping_ = false;
};

}  // namespace inkling
