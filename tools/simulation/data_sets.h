#pragma once
// The data sets of `inkling simulate`, as examples to train on and to be measured on.

#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "server-sim/simulation/example_set.h"

namespace inkling::tools {

inline constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();

struct TrainAndTest {
  ExampleSet train, test;
  // Whose each example is, where people own them: numbered from 0, each with something to train on.
  // A test example of somebody else is kNobody's.
  std::vector<std::uint32_t> train_owner = {}, test_owner = {};
};

// fashion-mnist, camera, margarine, movielens or students; `path`: a file, stem or folder in place
// of the package's. kInvalidArgument: another name. kNotFound says which package to install.
Result<TrainAndTest> load_data_set(std::string_view name, const Path& path);

// Data sets that were loaded, for runs that are of the same one. Any thread.
class DataSets {
 public:
  // Shared by all runs of a sweep, the last of which frees it.
  Result<std::shared_ptr<const TrainAndTest>> get(const std::string& name, const Path& path);

 private:
  std::mutex mutex_;
  std::map<std::pair<std::string, Path>, std::shared_ptr<const TrainAndTest>> loaded_;
};

}  // namespace inkling::tools
