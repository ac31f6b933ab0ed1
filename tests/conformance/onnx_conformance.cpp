// onnx_conformance --data DIR --json OUT [--only TEXT] [--passed-min N]: runs every case of the
// ONNX backend tests in DIR, writes one row a case and a summary to OUT, and prints the summary.
// Exit code 1 when a case failed, that is: gave wrong numbers, or was refused other than as
// unsupported.

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

Result<bool> run(const Path& data, const Path& out, const std::string& only,
                 std::size_t passed_min) {
  INK_TRY(const auto names, conformance::find_cases(data));
  std::map<std::string, std::size_t> counts;
  Json rows = Json::array();
  for (const std::string& name : names) {
    if (name.find(only) == std::string::npos) continue;
    const auto result = conformance::run_case(name, data / name);
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
  INK_CHECK_OK(write_file(out, as_bytes(text)));
  std::cout << summary.dump() << "\n";
  return counts["failed"] == 0 && counts["passed"] >= passed_min;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Run the ONNX backend tests");
  std::string data, out, only;
  std::size_t passed_min = 0;
  app.add_option("--data", data, "Folder of cases, KIND/CASE/model.onnx")->required();
  app.add_option("--json", out, "Results to write")->required();
  app.add_option("--only", only, "Only cases whose name contains this");
  app.add_option("--passed-min", passed_min, "How many must pass");
  CLI11_PARSE(app, argc, argv);
  const auto passed = run(data, out, only, passed_min);
  if (!passed) std::cerr << "onnx_conformance: " << passed.error().message << "\n";
  return passed && *passed ? 0 : 1;
}
