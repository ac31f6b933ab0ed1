// inkling bench: measures a model, or a part of this build, on this machine. One file a subject, as
// bench_SUBJECT.cpp with an add_bench_SUBJECT that is listed here.

#include <CLI/CLI.hpp>

#include "tools/command.h"

namespace inkling::tools {

void add_bench_model(CLI::App& bench, Action& chosen);
void add_bench_secagg(CLI::App& bench, Action& chosen);

void add_bench(CLI::App& root, Action& chosen) {
  CLI::App* bench = root.add_subcommand("bench", "Time a model, or a part of this build");
  bench->require_subcommand(0, 1);
  for (const AddCommand add : {add_bench_model, add_bench_secagg}) add(*bench, chosen);
}

}  // namespace inkling::tools
