#pragma once
// AsyncCohort: devices that work without rounds, on the virtual clock. As soon as one is done
// another begins, with the model that the server has then; what comes in is buffered until there is
// enough for a step of the server.
//
// Memory follows the devices at work. One thread.

#include <cstdint>
#include <functional>
#include <vector>

#include "runtime/base/bytes.h"
#include "server-sim/simulation/population.h"

namespace inkling {

struct AsyncSpec {
  std::size_t concurrency = 1;      // devices at work at a time
  std::size_t buffer = 1;           // updates of a step
  std::uint64_t staleness_max = 0;  // steps that an update may lag behind; staler ones are lost
  double deadline_s = 3600;         // when the server gives a device up
};

struct AsyncOutcome {
  struct Report {
    std::uint64_t client = 0;
    std::uint64_t staleness = 0;
  };
  std::vector<Report> reported;  // ascending by client, each once
  std::vector<std::uint64_t> lost;
  std::size_t asked = 0;
  double seconds = 0;  // virtual
};

class AsyncCohort {
 public:
  explicit AsyncCohort(const AsyncSpec& spec) : spec_(spec) {}

  // Until the buffer is full, from virtual time now_s, with the server at its step `step`. Fewer
  // reports than the buffer takes: for a whole day nobody was there to ask.
  AsyncOutcome play(const Population& population, std::uint64_t step, double now_s,
                    const Workload& work,
                    const std::function<double(std::uint64_t client)>& examples_of);

  Bytes save() const;
  Result<void> load(ByteSpan bytes);

 private:
  struct Flight {
    double until_s = 0;
    std::uint64_t number = 0;  // in the order of their beginnings, from 1
    std::uint64_t client = 0;
    std::uint64_t step = 0;  // of the server when it began
    bool is_lost = false;
    // The heap's top is what ends first, of equals what began first.
    bool operator<(const Flight& other) const {
      return std::pair(until_s, number) > std::pair(other.until_s, other.number);
    }
  };

  AsyncSpec spec_;
  std::uint64_t begun_ = 0;
  std::vector<Flight> flights_;  // a heap
};

}  // namespace inkling
