#include "server-sim/https/worker_pool.h"

#include <system_error>

namespace inkling {

WorkerPool::WorkerPool(std::size_t workers_max, std::size_t waiting_max, Serve serve)
    : workers_max_(workers_max), waiting_max_(waiting_max), serve_(std::move(serve)) {}

bool WorkerPool::offer(ConnectionTable::Seat& seat) {
  const std::scoped_lock lock(mutex_);
  const bool may_grow = workers_.size() < workers_max_;
  if (stopping_ || (line_.size() >= free_ + waiting_max_ && !may_grow)) return false;
  if (free_ <= line_.size() && may_grow) {
    try {
      workers_.emplace_back([this] { work(); });
      lacks_threads_ = false;
    } catch (const std::system_error&) {  // the machine has no thread left: those we have must do
      lacks_threads_ = true;
      if (workers_.empty() || line_.size() >= waiting_max_) return false;
    }
  }
  line_.push_back(std::move(seat));
  count_waiting();
  wake_.notify_one();
  return true;
}

void WorkerPool::count_waiting() {
  const bool grows = workers_.size() < workers_max_ && !lacks_threads_;
  waiting_ = grows || line_.size() <= free_ ? 0 : line_.size() - free_;
}

void WorkerPool::stop() {
  std::vector<std::thread> workers;
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    line_.clear();
    waiting_ = 0;
    workers.swap(workers_);
    wake_.notify_all();
  }
  for (std::thread& worker : workers) worker.join();
}

void WorkerPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++free_;
    wake_.wait(lock, [this] { return stopping_ || !line_.empty(); });
    --free_;
    if (stopping_) return;
    ConnectionTable::Seat seat = std::move(line_.front());
    line_.pop_front();
    count_waiting();
    lock.unlock();
    serve_(std::move(seat));
    lock.lock();
  }
}

}  // namespace inkling
