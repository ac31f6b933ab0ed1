#include "runtime/base/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace inkling {
namespace {

TEST(ThreadPool, CoversEveryItemOnceWhateverTheGrainAndCrew) {
  for (const unsigned threads : {0u, 1u, 2u, 4u}) {
    ThreadPool pool(threads);
    for (const std::size_t count : {0u, 1u, 7u, 64u, 1000u}) {
      for (const std::size_t grain : {0u, 1u, 3u, 64u, 2000u}) {
        std::vector<std::atomic<int>> seen(count);
        pool.parallel_for(count, grain, [&](std::size_t begin, std::size_t end, unsigned) {
          for (std::size_t i = begin; i < end; ++i) ++seen[i];
        });
        for (const auto& n : seen) ASSERT_EQ(n, 1);
      }
    }
  }
}

TEST(ThreadPool, ChunkBordersDoNotDependOnTheCrew) {
  ThreadPool one(1), three(3);
  std::vector<std::size_t> a(10), b(10);
  const auto record = [](std::vector<std::size_t>& ends) {
    return [&ends](std::size_t begin, std::size_t end, unsigned) { ends[begin / 10] = end; };
  };
  one.parallel_for(95, 10, record(a));
  three.parallel_for(95, 10, record(b));
  EXPECT_EQ(a, b);
}

TEST(ThreadPool, AnExecutorsTasksCoverTheLoopWithDistinctWorkers) {
  struct App {
    int calls = 0;
    std::size_t most = 0;
  } app;
  // The app's threads may run the tasks in any order.
  const Executor executor{.threads = 3,
                          .run =
                              [](void* context, std::size_t tasks, void (*task)(void*, std::size_t),
                                 void* task_context) {
                                auto& self = *static_cast<App*>(context);
                                ++self.calls;
                                self.most = std::max(self.most, tasks);
                                for (std::size_t i = tasks; i-- > 0;) {
                                  std::thread([&] { task(task_context, i); }).join();
                                }
                              },
                          .context = &app};
  ThreadPool pool(executor);
  EXPECT_EQ(pool.threads(), 3u);
  std::vector<int> seen(100);
  pool.parallel_for(100, 7, [&](std::size_t begin, std::size_t end, unsigned worker) {
    EXPECT_LT(worker, 3u);
    for (std::size_t i = begin; i < end; ++i) ++seen[i];
  });
  for (const int n : seen) EXPECT_EQ(n, 1);
  EXPECT_EQ(app.calls, 1);
  EXPECT_EQ(app.most, 3u);
  pool.parallel_for(5, 10, [](std::size_t, std::size_t, unsigned) {});
  EXPECT_EQ(app.calls, 1);  // one chunk needs nobody
}

TEST(ThreadPool, SurvivesManyShortLoops) {
  ThreadPool pool(3);
  std::atomic<std::size_t> total{0};
  for (int i = 0; i < 20000; ++i) {
    pool.parallel_for(5, 1,
                      [&](std::size_t begin, std::size_t end, unsigned) { total += end - begin; });
  }
  EXPECT_EQ(total, 100000u);
}

}  // namespace
}  // namespace inkling
