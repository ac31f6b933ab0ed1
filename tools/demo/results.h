#pragma once
// What the demo leaves behind: summary.json for programs and report.html for people.

#include "tools/demo/stages.h"

namespace inkling::tools {

struct DemoResults {
  ImportedModelResult imported;
  TransferResult transfer;
  RerankResult rerank;
  FederatedResult federated;
  double seconds = 0;
};

// Everything but what stands under "timings" and in fields named seconds is a function of the seed
// and the data.
Result<void> write_results(const DemoResults& results, const DemoOptions& options);

}  // namespace inkling::tools
