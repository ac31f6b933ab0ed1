#pragma once
// The stages of `inkling demo`, in the order in which it runs them. Each works on real data, and
// returns what it measured.

#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/result.h"

namespace inkling::tools {

class Console;

struct DemoOptions {
  Path out = "build/demo";              // summary.json, report.html and the working files
  Path npm = "build/npm/node_modules";  // where set-up put the pretrained models
  std::uint64_t seed = 1;
  unsigned threads = 2;
};

// 1. A network that someone else trained, imported from ONNX, against outputs recorded with
// onnxruntime.
struct ImportedModelResult {
  std::string model;
  double max_abs_error = 0;
  std::size_t compared = 0;  // numbers
  std::size_t steps = 0;     // of the plan
  double milliseconds = 0;   // a run of eight pictures
};
Result<ImportedModelResult> run_imported_model(const DemoOptions& options, Console& console);

// 2. Transfer: a base that has seen seven classes of Fashion-MNIST learns the other three from 20
// pictures each.
struct TransferResult {
  double base_seconds = 0;
  double base_accuracy_seven_classes = 0;
  std::size_t base_parameters = 0;
  double seconds = 0;  // features and both heads
  double accuracy_three_new_classes = 0;
  double accuracy_ten_classes = 0;
  std::size_t pictures_per_class = 0;
  std::vector<double> base_losses = {};  // mean of every kLossEvery steps
};
inline constexpr std::size_t kLossEvery = 50;
Result<TransferResult> run_transfer(const DemoOptions& options, Console& console);

}  // namespace inkling::tools
