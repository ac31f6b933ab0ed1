// inkling demo: the whole loop on real data.

#include <CLI/CLI.hpp>
#include <memory>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/demo/results.h"
#include "tools/measure.h"
#include "tools/report.h"

namespace inkling::tools {
namespace {

// One line of result a stage, as soon as it is there.
Result<void> demo(const DemoOptions& options, Console& console) {
  const auto start = steady_now();
  std::ostream& out = console.out();
  DemoResults r;
  INK_TRY(r.imported, run_imported_model(options, console));
  out << "onnx: " << r.imported.compared << " outputs within "
      << format_number(r.imported.max_abs_error) << " of onnxruntime" << std::endl;
  INK_TRY(r.transfer, run_transfer(options, console));
  out << "transfer: three new classes from " << r.transfer.pictures_per_class
      << " pictures each, accuracy " << format_number(r.transfer.accuracy_three_new_classes)
      << " (ten classes " << format_number(r.transfer.accuracy_ten_classes) << ") in "
      << format_number(r.transfer.seconds) << " s" << std::endl;
  INK_TRY(r.rerank, run_rerank(options, console));
  out << "rerank: top-1 " << format_number(r.rerank.global.top1.mean) << " with the global model, "
      << format_number(r.rerank.personal.top1.mean) << " with each person's patch (NLL "
      << format_number(r.rerank.global.nll.mean) << " to "
      << format_number(r.rerank.personal.nll.mean) << ")" << std::endl;
  INK_TRY(r.federated, run_federated(options, console));
  out << "federated: top-1 " << format_number(r.federated.global.top1.mean) << " after "
      << r.federated.rounds << " rounds; masked sum equals plain sum: "
      << (r.federated.masked_equals_plain ? "yes" : "NO") << ", " << r.federated.dropped_clients
      << " device dropped, " << format_number(r.federated.bytes_up_per_client)
      << " bytes up a device" << std::endl;
  r.seconds = seconds_since(start);
  INK_CHECK_OK(write_results(r, options));
  out << "report: " << (options.out / "report.html").string() << std::endl;
  if (!r.federated.masked_equals_plain) {
    return fail(ErrorCode::kProtocol,
                "demo: the unmasked sum is not the sum of what the survivors masked");
  }
  return {};
}

}  // namespace

void add_demo(CLI::App& root, Action& chosen) {
  auto options = std::make_shared<DemoOptions>();
  CLI::App* demo_command =
      root.add_subcommand("demo", "Run the whole loop on real data and write a report");
  demo_command->add_option("--out", options->out, "Folder for summary.json and report.html")
      ->type_name("DIR")
      ->capture_default_str();
  demo_command->add_option("--npm", options->npm, "Folder of the pretrained models from npm")
      ->type_name("DIR")
      ->capture_default_str();
  demo_command->add_option("--fashion-mnist", options->fashion_mnist, "Folder of Fashion-MNIST")
      ->type_name("DIR")
      ->capture_default_str();
  demo_command->add_option("--camera", options->camera, "The camera survey of bayesm")
      ->type_name("FILE")
      ->capture_default_str();
  demo_command->add_option("--seed", options->seed, "Seed of everything random but keys")
      ->type_name("N")
      ->capture_default_str();
  demo_command->add_option("--threads", options->threads, "Threads of each computation")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  demo_command->callback([&chosen, options] {
    chosen = [options](Console& console) { return demo(*options, console); };
  });
}

}  // namespace inkling::tools
