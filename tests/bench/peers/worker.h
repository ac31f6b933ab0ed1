#pragma once
// A worker: one engine with one model, in a process of its own that `run` starts once and then asks
// for measurements, in turn with the workers of other engines.
//
// Usage of every worker: WORKER FOLDER THREADS [FILE]
// FOLDER is what export_models.py writes. The worker prints "ready DIFFERENCE LOAD_MS FIRST_RUN_MS
// PEAK_MB": the largest difference from PyTorch's output as a share of the largest output, what
// opening and the first run took, and the most memory held so far. Then it reads a line with a
// number of milliseconds, runs the model for that long, and prints "MEDIAN_NS BEST_NS CPU_NS RUNS";
// and so on until its input ends. CPU_NS is of the whole process, for one run.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace inkling::peers {

struct Example {
  struct Input {
    std::string name;
    std::vector<std::int64_t> sizes;
    std::vector<float> values;
  };
  std::vector<Input> inputs;  // in the model's order
  std::vector<float> output;  // what PyTorch made of them
};

class Peer {
 public:
  virtual ~Peer() = default;
  virtual void run() = 0;
  virtual std::vector<float> output() = 0;  // of the latest run
};

struct PeerSpec {
  std::string folder;
  unsigned threads;
  std::string file;  // the third argument; may be empty
};

// Each worker's program defines it: the model, its inputs filled. Throws std::exception.
std::unique_ptr<Peer> open_peer(const PeerSpec& spec, const Example& example);

}  // namespace inkling::peers
