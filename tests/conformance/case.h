#pragma once
// One case of the ONNX backend tests: a model, and folders of inputs with the outputs that belong
// to them (https://github.com/onnx/onnx, onnx/backend/test/data).

#include <string>
#include <vector>

#include "runtime/base/file.h"

namespace inkling::conformance {

enum class Outcome { kPassed, kFailed, kUnsupported };

struct CaseResult {
  std::string name;  // "node/test_abs"
  Outcome outcome = Outcome::kPassed;
  std::string op;      // that did not pass; of a passed case the first op of the model
  std::string reason;  // empty when passed
};

// Imports the model and compares what it computes from each data set with what is recorded: floats
// within atol 1e-5 + rtol 1e-3, everything else exactly. A refusal with kUnsupported is
// kUnsupported, anything else that differs is kFailed.
CaseResult run_case(const std::string& name, const Path& folder);

// The cases below a folder, by name: KIND/CASE/model.onnx.
Result<std::vector<std::string>> find_cases(const Path& data);

}  // namespace inkling::conformance
