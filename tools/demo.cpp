// inkling demo: the whole loop on real data.

#include <CLI/CLI.hpp>
#include <memory>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/demo/stages.h"

namespace inkling::tools {
namespace {

Result<void> demo(const DemoOptions& options, Console& console) {
  INK_TRY(const ImportedModelResult imported, run_imported_model(options, console));
  console.out() << "onnx: " << imported.max_abs_error << " " << imported.milliseconds << "\n";
  INK_TRY(const TransferResult transfer, run_transfer(options, console));
  console.out() << "transfer: " << transfer.base_seconds << " "
                << transfer.base_accuracy_seven_classes << " " << transfer.seconds << " "
                << transfer.accuracy_three_new_classes << " " << transfer.accuracy_ten_classes
                << "\n";
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
