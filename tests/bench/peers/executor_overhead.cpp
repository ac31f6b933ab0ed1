// What the executor takes for an op: chains of additions of one number, long and short; the
// difference of their times by that of their lengths. It contains the addition and its kernel's
// own beginning, so it is an upper bound. Prints nanoseconds.
//
// Usage: executor_overhead THREADS

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "runtime/ops.h"
#include "runtime/session.h"

namespace {

using namespace inkling;

constexpr int kShort = 500, kLong = 1500, kRepeats = 201;

Session chain(int length, unsigned threads) {
  Graph g;
  const ValueId x = g.input("x", {DType::kF32, {1}});
  ValueId y = x;
  for (int i = 0; i < length; ++i) y = add(g, y, x);
  g.output("y", y);
  auto session = Session::create(g, {.threads = threads});
  if (!session || session->steps().size() != static_cast<std::size_t>(length)) {
    std::fprintf(stderr, "executor_overhead: the chain was not planned as it is\n");
    std::exit(1);
  }
  return std::move(*session);
}

double run_ns(Session& session) {
  const auto start = std::chrono::steady_clock::now();
  session.run();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int main(int argc, char** argv) {
  const auto threads = static_cast<unsigned>(argc > 1 ? std::max(1, std::atoi(argv[1])) : 1);
  Session brief = chain(kShort, threads), long_one = chain(kLong, threads);
  std::vector<double> each;
  for (int i = 0; i < kRepeats; ++i)
    each.push_back((run_ns(long_one) - run_ns(brief)) / (kLong - kShort));
  std::sort(each.begin(), each.end());
  std::printf("%.1f\n", each[kRepeats / 2]);
  return 0;
}
