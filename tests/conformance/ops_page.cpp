// ops_page RESULTS.json [--compare PAGE]: writes docs/ops.md to stdout, from the op table, the
// kernel table and the results of onnx_conformance; or tells whether PAGE is what it would write.

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "runtime/base/file.h"
#include "runtime/kernel.h"

namespace {

using namespace inkling;

// In the order of runtime/ops/ops.inc. dy is the cotangent of the output y (of several: dy of the
// first), x the input, or a and b; "none: why" where there is no derivative.
constexpr const char* kDerivatives[] = {
    "-dy",
    "dy y",
    "dy / x",
    "dy / (2 y)",
    "dy (1 - y^2)",
    "dy y (1 - y)",
    "dy (2 / sqrt(pi)) e^(-x^2)",
    "dy; dy",
    "dy; -dy",
    "dy b; dy a",
    "dy / b; -dy y / b",
    "clamp_gradient(y, dy): dy between the bounds, 0 at and beyond them",
    "of dy: clamp_gradient; of x: 0",
    "reshape(dy)",
    "transpose(dy) by the inverse permutation",
    "sum_to(dy)",
    "broadcast_to(dy)",
    "pad(dy) with zeros",
    "slice(dy)",
    "slice(dy), for each part",
    "dy b^T; a^T dy, with flags flipped where they are set",
    "conv2d_input_gradient(dy, w); conv2d_weight_gradient(x, dy)",
    "of dy: conv2d; of w: conv2d_weight_gradient",
    "of x: conv2d_input_gradient; of dy: conv2d",
    "as conv2d",
    "as conv2d_input_gradient",
    "as conv2d_weight_gradient",
    "max_pool_gradient(x, y, dy): to the first place of the maximum",
    "none: only second derivatives of max_pool would need it, and there is no op that picks them",
    "avg_pool_gradient(dy)",
    "avg_pool(dy)",
    "y (dy - sum(dy y))",
    "dy - softmax(x) sum(dy)",
    "none: a step of training is not part of a loss",
    "none: a step of training is not part of a loss",
    "scatter_add(indices, dy)",
    "gather(dy, indices)",
    "mode set: scatter(dy, indices, 0); gather(dy, indices). Modes mul, min, max: none, as equal "
    "rows share an output in the order in which they come",
    "dy cos x",
    "-dy sin x",
    "dy (1 + y^2)",
    "dy / sqrt(1 - x^2)",
    "-dy / sqrt(1 - x^2)",
    "dy / (1 + x^2)",
    "dy cosh x",
    "dy sinh x",
    "dy / sqrt(x^2 + 1)",
    "dy / sqrt(x^2 - 1)",
    "dy / (1 - x^2)",
    "dy sign(x)",
    "0",
    "0",
    "0",
    "0",
    "dy where a = y; dy elsewhere",
    "dy where a = y; dy elsewhere",
    "dy b a^(b - 1); dy y ln a",
    "dy; -dy (a - y) / b",
    "none: gives truth values",
    "none: gives truth values",
    "none: gives truth values",
    "none: gives truth values",
    "none: gives truth values",
    "dy where the condition holds; dy elsewhere",
    "none: on the bits of integers",
    "none: on the bits of integers",
    "cast(dy) between floats; 0 to and from other types",
    "dy where x = y, shared by equals",
    "dy where x = y, shared by equals",
    "dy y / x, for x other than 0",
    "cumsum(dy) from the other end",
    "scatter_add(places, dy)",
    "gru_gradient: back through time",
    "none: only second derivatives of gru would need it",
    "none: made when a plan is made, after differentiation",
    "none: a step of training is not part of a loss",
    "none: a step of training is not part of a loss",
    "none: a step of training is not part of a loss",
    "none: it makes the rows of a step, which is not part of a loss",
};

// "no derivative" exactly where the op has none.
Result<void> expect_true_derivatives() {
  if (std::size(kDerivatives) != op_count())
    return fail(ErrorCode::kFailedPrecondition, std::size(kDerivatives), " derivatives of ",
                op_count(), " ops");
  for (std::size_t i = 0; i < op_count(); ++i) {
    const OpDef& def = op_def(static_cast<OpKind>(i));
    if (std::string_view(kDerivatives[i]).starts_with("none") != (def.derivative == nullptr))
      return fail(ErrorCode::kFailedPrecondition, def.name, ": '", kDerivatives[i],
                  "' is not what it has");
  }
  return {};
}

std::string vocabulary() {
  std::map<OpKind, std::string> kernels;
  for (const Kernel& row : cpu_kernels()) {
    std::string& names = kernels[row.op];
    names += concat(names.empty() ? "" : ", ", "`", row.name, "`");
  }
  std::string text =
      "| op | derivative | in place | kernels of the CPU backend, beside the reference |\n"
      "|---|---|---|---|\n";
  for (std::size_t i = 0; i < op_count(); ++i) {
    const auto op = static_cast<OpKind>(i);
    const OpDef& def = op_def(op);
    text += concat("| `", def.name, "` | ", kDerivatives[i], " | ", def.elementwise ? "yes" : "",
                   " | ", kernels[op], " |\n");
  }
  return text;
}

struct Tally {
  std::size_t passed = 0;
  std::map<std::string, std::set<std::string>> refused;  // by reason: the cases
};

// The reason without the name of the node or tensor that the case happens to use.
std::string general(const std::string& reason) {
  const std::size_t node = reason.find("): ");
  if (node != std::string::npos) return reason.substr(node + 3);
  const std::size_t tensor = reason.find("onnx: tensor '");
  if (tensor == 0) return "a tensor " + reason.substr(reason.find("' ", 14) + 2);
  return reason;
}

std::string onnx(const nlohmann::json& results) {
  std::map<std::string, Tally> by_op;
  for (const auto& row : results["cases"]) {
    Tally& tally = by_op[row["op"].get<std::string>()];
    if (row["status"] == "passed") {
      ++tally.passed;
    } else {
      tally.refused[general(row["reason"].get<std::string>())].insert(
          row["case"].get<std::string>());
    }
  }
  std::string text =
      "| op | passed | unsupported | why |\n"
      "|---|---|---|---|\n";
  for (const auto& [op, tally] : by_op) {
    std::size_t refused = 0;
    std::string why;
    for (const auto& [reason, cases] : tally.refused) {
      refused += cases.size();
      why += concat(why.empty() ? "" : "; ", reason);
    }
    text += concat("| ", op, " | ", tally.passed, " | ", refused, " | ", why, " |\n");
  }
  return text;
}

std::string page(const nlohmann::json& results) {
  const auto& summary = results["summary"];
  return concat(
      "# Ops\n\n"
      "Generated by `build/bin/ops_page` (tests/conformance); do not edit.\n\n"
      "## The vocabulary\n\n"
      "Formulas and shapes stand in `runtime/ops/`. A derivative is the cotangent of each float "
      "input, "
      "from dy, the\ncotangent of the output y; each rule is checked against differences in f64 to "
      "1e-7 (`tests/autograd/gradient_test.cpp`),\nand what the backend tests compute to 1e-6 of "
      "the "
      "largest slope (`e2e_gradients`: 737 cases, 61 ops). \"In place\": an\noutput may take the "
      "place "
      "of an input that dies there.\n\n",
      vocabulary(),
      "\n## ONNX\n\n"
      "The importer (`convert/onnx/`) turns an ONNX op into a few of these. Of the ",
      summary["total"].dump(), " cases of the ONNX 1.12 backend\ntests, ", summary["passed"].dump(),
      " pass, ", summary["failed"].dump(), " fail and ", summary["unsupported"].dump(),
      " are refused by name (floats within rtol 1e-3 and atol 1e-5, all else exactly):\n\n"
      "    build/bin/onnx_conformance --data /usr/share/libonnx-testdata/data --json OUT\n\n"
      "A case counts for the op that refused it, or for the first op of its model.\n\n",
      onnx(results));
}

Result<bool> run(const Path& results, const char* compared) {
  INK_TRY(const Bytes bytes, read_file(results));
  const auto parsed = nlohmann::json::parse(as_text(bytes), nullptr, false);
  if (parsed.is_discarded()) return fail(ErrorCode::kCorrupt, results.string(), ": is not JSON");
  INK_CHECK_OK(expect_true_derivatives());
  const std::string text = page(parsed);
  if (!compared) {
    std::cout << text;
    return true;
  }
  INK_TRY(const Bytes current, read_file(compared));
  if (as_text(current) == text) return true;
  std::cerr << compared << " is out of date: build/bin/ops_page " << results.string() << " > "
            << compared << "\n";
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const bool compares = argc == 4 && std::string_view(argv[2]) == "--compare";
  if (argc != 2 && !compares) {
    std::cerr << "usage: ops_page RESULTS.json [--compare PAGE]\n";
    return 2;
  }
  const auto done = run(argv[1], compares ? argv[3] : nullptr);
  if (!done) std::cerr << "ops_page: " << done.error().message << "\n";
  return done && *done ? 0 : 1;
}
