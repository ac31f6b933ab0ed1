#include "tests/bench/peers/worker.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>

namespace inkling::peers {
namespace {

using Clock = std::chrono::steady_clock;

double ns_since(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

double cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

std::vector<float> read_floats(const std::string& path, std::size_t count) {
  std::vector<float> values(count);
  std::ifstream file(path, std::ios::binary);
  const auto bytes = static_cast<std::streamsize>(count * sizeof(float));
  if (!file.read(reinterpret_cast<char*>(values.data()), bytes))
    throw std::runtime_error(path + ": cannot be read, or too short");
  return values;
}

Example read_example(const std::string& folder) {
  Example example;
  std::ifstream list(folder + "/inputs.txt");
  for (std::string line; std::getline(list, line);) {
    std::istringstream words(line);
    Example::Input input;
    words >> input.name;
    std::size_t count = 1;
    for (std::int64_t size; words >> size;) {
      input.sizes.push_back(size);
      count *= static_cast<std::size_t>(size);
    }
    input.values = read_floats(folder + "/" + std::to_string(example.inputs.size()) + ".in", count);
    example.inputs.push_back(std::move(input));
  }
  const std::string out = folder + "/out";
  std::ifstream file(out, std::ios::binary | std::ios::ate);
  if (!file || example.inputs.empty()) throw std::runtime_error(folder + ": not an exported model");
  example.output = read_floats(out, static_cast<std::size_t>(file.tellg()) / sizeof(float));
  return example;
}

double difference(std::span<const float> got, std::span<const float> expected) {
  if (got.size() != expected.size()) return INFINITY;
  double worst = 0, scale = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i]));
    worst = std::max(worst, std::isnan(d) ? static_cast<double>(INFINITY) : d);
    scale = std::max(scale, std::abs(static_cast<double>(expected[i])));
  }
  return worst / scale;
}

// The high-water mark of this address space, in 10^6 bytes (rusage would keep the parent's).
double peak_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stod(line.substr(6)) * 1024 / 1e6;
  }
  return 0;
}

// The other workers have filled the caches meanwhile: the first tenth of the time does not count.
void measure(Peer& peer, double ms) {
  const auto warm = Clock::now();
  do {
    peer.run();
  } while (ns_since(warm) < ms * 1e5);
  std::vector<double> times;
  const double cpu = cpu_ns();
  const auto start = Clock::now();
  do {
    const auto begin = Clock::now();
    peer.run();
    times.push_back(ns_since(begin));
  } while (times.size() < 3 || ns_since(start) < ms * 1e6);
  const double cpu_each = (cpu_ns() - cpu) / static_cast<double>(times.size());
  std::sort(times.begin(), times.end());
  std::printf("%.1f %.1f %.1f %zu\n", times[times.size() / 2], times[0], cpu_each, times.size());
}

int serve(const PeerSpec& spec) {
  const Example example = read_example(spec.folder);
  const auto start = Clock::now();
  const auto peer = open_peer(spec, example);
  const double load = ns_since(start);
  const auto first = Clock::now();
  peer->run();
  const double first_run = ns_since(first);
  std::printf("ready %.3e %.3f %.3f %.1f\n", difference(peer->output(), example.output), load / 1e6,
              first_run / 1e6, peak_mb());
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    measure(*peer, std::stod(line));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace inkling::peers

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s FOLDER THREADS [FILE]\n", argv[0]);
    return 2;
  }
  try {
    return inkling::peers::serve(
        {argv[1], static_cast<unsigned>(std::stoul(argv[2])), argc > 3 ? argv[3] : ""});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
}
