// The `inkling` command: parses, runs one action, and maps its Result to an exit code.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/exit_code.h"
#include "tools/version.h"

namespace inkling::tools {
namespace {

constexpr AddCommand kCommands[] = {
    add_bench,  add_ca,      add_compare, add_convert,  add_demo,    add_eval,
    add_export, add_inspect, add_join,    add_predict,  add_privacy, add_profile,
    add_rerank, add_run,     add_serve,   add_simulate, add_train,   add_tune};

int report(ExitCode code, std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::cerr << "inkling: " << message << "\n";
  return static_cast<int>(code);
}

constexpr std::array<std::string_view, 5> kLogLevels = {"debug", "info", "warning", "error", "off"};

void add_global_options(CLI::App& app, ConsoleOptions& options) {
  app.set_version_flag("--version", version_text(), "Print version and commit, and exit");
  app.add_option_function<std::string>(
         "--log-level",
         [&options](const std::string& name) {
           const auto found = std::find(kLogLevels.begin(), kLogLevels.end(), name);
           if (found == kLogLevels.end()) {
             throw CLI::ValidationError(
                 "--log-level", concat(name, ": expected debug, info, warning, error or off"));
           }
           options.log_level = static_cast<LogLevel>(found - kLogLevels.begin());
         },
         "How much to log on stderr: debug, info, warning, error or off")
      ->type_name("LEVEL=info");
  app.set_config("--config", "", "Read options from a TOML file: a section for each subcommand")
      ->type_name("FILE.toml");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.add_flag("--progress", options.progress, "Show progress even if stderr is no terminal");
}

int run(int argc, char** argv) {
  CLI::App app("Train, rerank and aggregate on devices", "inkling");
  ConsoleOptions options;
  Action chosen;
  app.require_subcommand(1);
  app.fallthrough();
  add_global_options(app, options);
  for (const AddCommand add : kCommands) add(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help and --version
    return report(ExitCode::kUsage, concat(error.what(), " (inkling --help lists the options)"));
  }
  Console console(std::cout, std::cerr, options);
  const Result<void> done = chosen(console);
  console.progress("");
  std::cout.flush();
  if (!done) return report(exit_code_for(done.error().code), done.error().message);
  if (!std::cout) return report(ExitCode::kIo, "standard output: the data could not be written");
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace
}  // namespace inkling::tools

int main(int argc, char** argv) {
  try {
    return inkling::tools::run(argc, argv);
  } catch (const std::exception& error) {  // out of memory, or a bug of ours
    return inkling::tools::report(inkling::tools::ExitCode::kFailure, error.what());
  }
}
