#pragma once
// The fastest row for each node of a graph, found by measuring.
//
// For each node the cost model's best few rows are tried where they will run: whole graphs are
// planned that differ in the rows of their nodes, and run in turn, and each step is timed. So a row
// is measured with the caches as its neighbours leave them. Nodes with equal keys are measured
// together. At the end the graph with all winners is run in turn with the default, and unless it is
// faster, nothing is chosen.

#include "runtime/kernel_choice.h"
#include "runtime/session.h"

namespace inkling {

struct SearchOptions {
  unsigned threads = 1;
  std::size_t rows_max = 4;  // tried for a node
  double seconds_max = 10;   // for all runs; a few are made however long they take
  double margin = 0.03;      // a row must be faster than the default by this share
};

struct KernelSearch {
  struct Node {
    std::string key;
    struct Row {
      const char* name;
      double seconds;  // for one step
    };
    std::vector<Row> rows;  // the default first
    std::size_t chosen = 0;
    std::size_t steps = 0;  // of the graph with this key
  };
  std::vector<Node> nodes;                         // those with more than one row
  KernelChoice choice;                             // where another row than the default won
  double default_seconds = 0, chosen_seconds = 0;  // of a run; 0: there was nothing to try
};

// Errors as Session::create(). Inputs are filled with numbers in [-1, 1).
Result<KernelSearch> search_kernels(const Graph& graph, const SearchOptions& options = {});

// What a run costs, from measurements of which some were disturbed: the mean of those within three
// median deviations of the median. A mean counts every disturbance, and a minimum is what happened
// once (as Highway's auto_tune.h argues, whose estimator is of this kind). At least one time.
double robust_estimate(std::vector<double> times);

}  // namespace inkling
