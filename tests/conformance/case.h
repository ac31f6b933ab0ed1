#pragma once
// One case of the ONNX backend tests: a model, and folders of inputs with the outputs that belong
// to them (https://github.com/onnx/onnx, onnx/backend/test/data). The model may be a TensorFlow
// Lite one instead.

#include <string>
#include <variant>
#include <vector>

#include "convert/onnx/program.h"
#include "runtime/base/file.h"

namespace inkling::conformance {

// A data set: what to put in, in which form, and what must come out.
struct DataSet {
  std::vector<NamedTensor> inputs, outputs;
  onnx_import::Options form;
};

struct Case {
  Bytes model;
  std::vector<DataSet> sets;
};

// The model of a case, planned when a data set of a new form comes.
class Network {
 public:
  // Errors as the importers'.
  static Result<Network> open(const Case& recorded, const PlanOptions& options = {});
  Result<std::vector<NamedTensor>> run(const DataSet& set);
  Result<Session*> plan(const DataSet& set);
  std::size_t plans() const;  // how many are kept

 private:
  // TensorFlow Lite files fix their shapes.
  explicit Network(std::variant<onnx_import::Program, Session> model) : model_(std::move(model)) {}
  std::variant<onnx_import::Program, Session> model_;
};

// kUnsupported: data of a kind that this version does not have (strings), or that contradicts its
// model.
Result<Case> read_case(const Path& folder);

// Numbers of real networks: an output near zero is what is left of sums of numbers as large as the
// tensor's largest, and carries their rounding. TensorFlow Lite's and our own are up to 1e-6 of
// that from what the same network gives in f64.
inline constexpr double kNetworkRounding = 2e-6;

// Why two tensors differ; empty when they do not. Floats may by 1e-3 of the expected number plus
// 1e-5, or plus `rounding` times the largest expected one if that is more; all else must be equal.
std::string difference(const Tensor& got, const Tensor& expected, double rounding = 0);

enum class Outcome { kPassed, kFailed, kUnsupported };

struct CaseResult {
  std::string name;  // "node/test_abs"
  Outcome outcome = Outcome::kPassed;
  std::string op;      // that did not pass; of a passed case the first op of the model
  std::string reason;  // empty when passed
};

// Imports the model and compares what it computes from each data set with what is recorded, by
// difference(). A refusal with kUnsupported is kUnsupported, anything else that differs is kFailed.
CaseResult run_case(const std::string& name, const Path& folder, const PlanOptions& options = {},
                    double rounding = 0);

// The cases below a folder, by name: KIND/CASE/model.{onnx,tflite}.
Result<std::vector<std::string>> find_cases(const Path& data);

}  // namespace inkling::conformance
