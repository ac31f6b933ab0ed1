// onnx_conformance --data DIR --json OUT [--only TEXT] [--passed-min N] [--networks]: runs every
// case of the ONNX backend tests in DIR, writes one row a case and a summary to OUT, and prints the
// summary. Exit code 1 when a case failed, that is: gave wrong numbers, or was refused other than
// as unsupported.

#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/conformance/case.h"

namespace {

using namespace inkling;
using Json = nlohmann::ordered_json;

const char* name_of(conformance::Outcome outcome) {
  switch (outcome) {
    case conformance::Outcome::kPassed:
      return "passed";
    case conformance::Outcome::kFailed:
      return "failed";
    case conformance::Outcome::kUnsupported:
      return "unsupported";
  }
  return "";
}

struct Spec {
  std::string data, out, only;
  std::size_t passed_min = 0;
  bool reference = false, networks = false;
};

Result<bool> run(const Spec& spec) {
  const Path data = spec.data;
  const PlanOptions options{.optimize = !spec.reference, .reference_only = spec.reference};
  INK_TRY(const auto names, conformance::find_cases(data));
  std::map<std::string, std::size_t> counts;
  Json rows = Json::array();
  for (const std::string& name : names) {
    if (name.find(spec.only) == std::string::npos) continue;
    const auto result = conformance::run_case(name, data / name, options,
                                              spec.networks ? conformance::kNetworkRounding : 0);
    ++counts[name_of(result.outcome)];
    Json row{{"case", name}, {"status", name_of(result.outcome)}, {"op", result.op}};
    if (!result.reason.empty()) row["reason"] = result.reason;
    rows.push_back(std::move(row));
  }
  const Json summary{{"passed", counts["passed"]},
                     {"failed", counts["failed"]},
                     {"unsupported", counts["unsupported"]},
                     {"total", rows.size()}};
  const std::string text =
      Json{{"schema_version", 1}, {"summary", summary}, {"cases", rows}}.dump(1) + "\n";
  INK_CHECK_OK(write_file(spec.out, as_bytes(text)));
  std::cout << summary.dump() << "\n";
  return counts["failed"] == 0 && counts["passed"] >= spec.passed_min;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Run the ONNX backend tests");
  Spec spec;
  app.add_option("--data", spec.data, "Folder of cases, KIND/CASE/model.onnx")->required();
  app.add_option("--json", spec.out, "Results to write")->required();
  app.add_option("--only", spec.only, "Only cases whose name contains this");
  app.add_option("--passed-min", spec.passed_min, "How many must pass");
  app.add_flag("--reference", spec.reference, "Run the plainest loops, without passes");
  app.add_flag("--networks", spec.networks,
               "Of real networks: allow for rounding of large numbers");
  CLI11_PARSE(app, argc, argv);
  const auto passed = run(spec);
  if (!passed) std::cerr << "onnx_conformance: " << passed.error().message << "\n";
  return passed && *passed ? 0 : 1;
}
