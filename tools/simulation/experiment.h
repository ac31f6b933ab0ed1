#pragma once
// Experiment: what an experiment file says (docs/simulation.md lists the keys), and the data that
// it names.

#include <memory>
#include <string>
#include <vector>

#include "server-sim/simulation/simulation.h"
#include "tools/simulation/data_sets.h"
#include "tools/simulation/toml_reader.h"

namespace inkling::tools {

struct DataSpec {
  std::string set = "fashion-mnist";  // see load_data_set()
  std::string partition = "uniform";  // uniform, dirichlet, shards, quantity, sampled, natural
  std::uint64_t clients = 100;        // ignored by natural
  std::uint64_t examples = 60;        // a client, sampled
  double alpha = 0;                   // dirichlet, quantity, sampled
  std::uint64_t shards = 2;           // a client
  std::string path;                   // file or folder in place of the package's
};

struct Experiment {
  DataSpec data;
  SimulationSpec simulation;
  std::uint64_t checkpoint_every = 0;  // rounds; 0: never
};

// Reads every key and finishes the reader. kInvalidArgument names the key.
Result<Experiment> read_experiment(TomlReader& reader);

// Train and test examples and who has them.
struct ExperimentData {
  std::shared_ptr<const TrainAndTest> sets;  // of other runs as well
  PartitionPtr partition, test_partition;    // the latter null unless people own the examples
  SimulationData view() const {
    return {.train = &sets->train,
            .test = &sets->test,
            .partition = partition.get(),
            .test_partition = test_partition.get()};
  }
};
Result<ExperimentData> load_experiment_data(const DataSpec& spec, std::uint64_t seed,
                                            DataSets& data_sets);

}  // namespace inkling::tools
