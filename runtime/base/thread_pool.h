#pragma once
// ThreadPool: a fixed crew that helps one caller with a loop.
//
// Chunks are claimed one by one, each of the crew its own part first: a preempted worker owns no
// work that the others wait for beyond the chunk in its hands; workers spin briefly, then sleep.
// The caller works too: a pool of n threads starts n - 1 workers, and a pool of one runs everything
// in place.
//
// Chunk borders depend on the loop alone, never on the thread count: a kernel whose chunks write
// disjoint outputs gives the same bits on any number of threads.

#include <cstddef>
#include <functional>
#include <memory>

namespace inkling {

// The app's own threads, in place of a crew: run() calls task(task_context, i) once for each i in
// [0, tasks), on whichever threads, and returns when all of them have returned.
struct Executor {
  unsigned threads = 0;  // how many tasks may run at a time; 0: there is no executor
  void (*run)(void* context, std::size_t tasks, void (*task)(void* task_context, std::size_t i),
              void* task_context) = nullptr;
  void* context = nullptr;
};

class ThreadPool {
 public:
  explicit ThreadPool(unsigned threads = 1);      // 0 counts as 1
  explicit ThreadPool(const Executor& executor);  // starts no thread
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned threads() const;

  // Calls body(begin, end, worker) for consecutive ranges of at most `grain` items that cover [0,
  // count). worker < threads() tells which of the crew runs it (the caller is 0), for scratch
  // memory. One caller at a time; body must not call parallel_for on the same pool. Allocates
  // nothing.
  template <typename Body>
  void parallel_for(std::size_t count, std::size_t grain, const Body& body) {
    run(
        count, grain,
        [](const void* context, std::size_t begin, std::size_t end, unsigned worker) {
          (*static_cast<const Body*>(context))(begin, end, worker);
        },
        &body);
  }

 private:
  using Call = void (*)(const void* context, std::size_t begin, std::size_t end, unsigned worker);
  void run(std::size_t count, std::size_t grain, Call call, const void* context);

  struct Crew;
  std::unique_ptr<Crew> crew_;
};

}  // namespace inkling
