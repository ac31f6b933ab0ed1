#pragma once
// A subcommand of `inkling`: one file, one function in the list below, one line in main.cpp.
//
// The function describes the subcommand to the parser and binds what to run. Nothing runs while the
// command line is parsed: main runs the one chosen action afterwards and turns its Result into the
// exit code (docs/exit-codes.md).

#include <functional>

#include "runtime/base/result.h"

namespace CLI {
class App;
}

namespace inkling::tools {

class Console;

using Action = std::function<Result<void>(Console&)>;

// Adds one subcommand below root; choosing it on the command line sets `chosen`. Both outlive the
// parse.
using AddCommand = void (*)(CLI::App& root, Action& chosen);

void add_bench(CLI::App& root, Action& chosen);
void add_ca(CLI::App& root, Action& chosen);
void add_compare(CLI::App& root, Action& chosen);
void add_convert(CLI::App& root, Action& chosen);
void add_demo(CLI::App& root, Action& chosen);
void add_eval(CLI::App& root, Action& chosen);
void add_export(CLI::App& root, Action& chosen);
void add_inspect(CLI::App& root, Action& chosen);
void add_join(CLI::App& root, Action& chosen);
void add_predict(CLI::App& root, Action& chosen);
void add_privacy(CLI::App& root, Action& chosen);
void add_profile(CLI::App& root, Action& chosen);
void add_rerank(CLI::App& root, Action& chosen);
void add_run(CLI::App& root, Action& chosen);
void add_serve(CLI::App& root, Action& chosen);
void add_simulate(CLI::App& root, Action& chosen);
void add_train(CLI::App& root, Action& chosen);
void add_tune(CLI::App& root, Action& chosen);

}  // namespace inkling::tools
