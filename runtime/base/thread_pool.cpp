#include "runtime/base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace inkling {

namespace {

// About 20 us on current cores: longer than the gap between two ops, shorter than a time slice.
constexpr int kSpins = 4000;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

// One loop is a "job". A worker joins a job under the mutex and leaves it under the mutex, so the
// caller, having run out of chunks, closes the job and waits only for those who are inside it: a
// worker that slept through the whole job is never waited for.
//
// Each of the crew has a part of the loop of its own, the same part in loops of the same shape, so
// that what it wrote in one op lies in its cache for the next. Who has finished with his part goes
// on with those of the others.
struct ThreadPool::Crew {
  struct alignas(64) Part {
    std::atomic<std::size_t> next{0};  // chunks
    std::size_t end = 0;
  };

  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable left;
  std::atomic<std::uint64_t> generation{0};
  std::atomic<int> inside{0};
  bool open = false;
  std::atomic<bool> stopping{false};

  Call call = nullptr;
  const void* context = nullptr;
  std::size_t count = 0;
  std::size_t grain = 1;
  std::vector<Part> parts;  // one each

  std::vector<std::thread> workers;
  Executor executor{};

  explicit Crew(unsigned threads) : parts(threads) {}

  void set_job(std::size_t items, std::size_t chunk, Call body, const void* body_context) {
    call = body;
    context = body_context;
    count = items;
    std::size_t chunks = (items + chunk - 1) / chunk;
    chunks += chunks % 2;  // equal shares for two
    grain = (items + chunks - 1) / chunks;
    chunks = (items + grain - 1) / grain;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      parts[i].next.store(chunks * i / parts.size(), std::memory_order_relaxed);
      parts[i].end = chunks * (i + 1) / parts.size();
    }
  }

  void claim_chunks(unsigned worker) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      Part& part = parts[(worker + i) % parts.size()];
      for (;;) {
        const std::size_t chunk = part.next.fetch_add(1, std::memory_order_relaxed);
        if (chunk >= part.end) break;
        call(context, chunk * grain, std::min((chunk + 1) * grain, count), worker);
      }
    }
  }

  void work(unsigned worker) {
    std::uint64_t seen = 0;
    for (;;) {
      for (int i = 0; i < kSpins && generation.load(std::memory_order_relaxed) == seen &&
                      !stopping.load(std::memory_order_relaxed);
           ++i) {
        pause();
      }
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stopping || generation != seen; });
        if (stopping) return;
        seen = generation;
        if (!open) continue;
        ++inside;
      }
      claim_chunks(worker);
      {
        const std::lock_guard lock(mutex);
        --inside;
      }
      left.notify_one();
    }
  }
};

ThreadPool::ThreadPool(unsigned threads) : crew_(std::make_unique<Crew>(std::max(1u, threads))) {
  for (unsigned i = 1; i < threads; ++i) {
    crew_->workers.emplace_back([crew = crew_.get(), i] { crew->work(i); });
  }
}

ThreadPool::ThreadPool(const Executor& executor)
    : crew_(std::make_unique<Crew>(std::max(1u, executor.threads))) {
  if (executor.run != nullptr) crew_->executor = executor;
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(crew_->mutex);
    crew_->stopping = true;
  }
  crew_->wake.notify_all();
  for (std::thread& worker : crew_->workers) worker.join();
}

unsigned ThreadPool::threads() const {
  return std::max(crew_->executor.threads, static_cast<unsigned>(crew_->workers.size()) + 1);
}

void ThreadPool::run(std::size_t count, std::size_t grain, Call call, const void* context) {
  if (count == 0) return;
  grain = std::max<std::size_t>(grain, 1);
  Crew& crew = *crew_;
  if (threads() == 1 || count <= grain) {
    for (std::size_t begin = 0; begin < count; begin += grain)
      call(context, begin, std::min(begin + grain, count), 0);
    return;
  }
  if (crew.executor.threads > 1) {
    crew.set_job(count, grain, call, context);
    const std::size_t tasks = std::min<std::size_t>(threads(), (count + grain - 1) / grain);
    crew.executor.run(
        crew.executor.context, tasks,
        [](void* self, std::size_t i) {
          static_cast<Crew*>(self)->claim_chunks(static_cast<unsigned>(i));
        },
        &crew);
    return;
  }
  {
    const std::lock_guard lock(crew.mutex);
    crew.set_job(count, grain, call, context);
    crew.open = true;
    crew.generation.fetch_add(1);
  }
  crew.wake.notify_all();
  crew.claim_chunks(0);
  std::unique_lock lock(crew.mutex);
  crew.open = false;
  if (crew.inside != 0) {
    lock.unlock();
    for (int i = 0; i < kSpins && crew.inside.load(std::memory_order_acquire) != 0; ++i) pause();
    lock.lock();
    crew.left.wait(lock, [&] { return crew.inside == 0; });
  }
}

}  // namespace inkling
