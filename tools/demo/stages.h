#pragma once
// The stages of `inkling demo`, in the order in which it runs them. Each works on real data, and
// returns what it measured.

#include <string>
#include <vector>

#include "autograd/data/fashion_mnist.h"
#include "rerank/metrics.h"
#include "runtime/base/file.h"
#include "runtime/base/result.h"
#include "runtime/model.h"
#include "tools/datasets/camera.h"

namespace inkling::tools {

class Console;

struct DemoOptions {
  Path out = "build/demo";                  // summary.json, report.html and the working files
  Path npm = "build/npm/node_modules";      // where set-up put the pretrained models
  Path fashion_mnist{kFashionMnistFolder};  // where Debian's dataset-fashion-mnist puts it
  Path camera{kCameraFile};                 // and r-cran-bayesm
  std::uint64_t seed = 1;
  unsigned threads = 2;
};

// 1. A network that someone else trained, imported from ONNX, against outputs recorded with
// onnxruntime.
struct ImportedModelResult {
  std::string model;
  double max_abs_error = 0;
  std::size_t compared = 0;  // numbers
  std::size_t steps = 0;     // of the plan
  double milliseconds = 0;   // a run of eight pictures
};
Result<ImportedModelResult> run_imported_model(const DemoOptions& options, Console& console);

// 2. Transfer: a base that has seen seven classes of Fashion-MNIST learns the other three from 20
// pictures each.
struct TransferResult {
  double base_seconds = 0;
  double base_accuracy_seven_classes = 0;
  std::size_t base_parameters = 0;
  double seconds = 0;  // features and both heads
  double accuracy_three_new_classes = 0;
  double accuracy_ten_classes = 0;
  std::size_t pictures_per_class = 0;
  std::vector<double> base_losses = {};  // mean of every kLossEvery steps
};
inline constexpr std::size_t kLossEvery = 50;
Result<TransferResult> run_transfer(const DemoOptions& options, Console& console);

// 3. Reranking: people's behaviour on their own devices, one global model, and a patch a person.
struct ModelQuality {  // on the test slates, with 95 % bootstrap intervals over people
  Interval top1, ndcg, nll;
};
struct PullResult {
  double pull = 0;
  double held_back_nll = 0;  // mean on training slates that were held back: what chooses the pull
  double test_nll = 0, test_top1 = 0;  // for the curve only
};
struct RerankResult {
  std::size_t people = 0, train_slates = 0, test_slates = 0;
  ModelQuality global{}, personal{};
  Interval nll_gain{};                     // global minus personal, paired
  double people_worse = 0;                 // share whose test NLL is above the global model's
  double pull = 0;                         // the chosen one
  std::vector<PullResult> pulls = {};      // from weak to strong
  std::vector<float> global_weights = {};  // the centrally trained optimum
  std::size_t patch_bytes = 0;             // a stored patch
  std::size_t training_memory_bytes = 0;   // what a device needs to learn its patch
  double log_seconds = 0, train_seconds = 0, seconds = 0;
};
Result<RerankResult> run_rerank(const DemoOptions& options, Console& console);

// The quality of a model without patches on everyone's test slates.
Result<ModelQuality> measure_model(Model model, const ChoiceData& data, std::uint64_t seed);

// 4. The same global model, trained by federated averaging over HTTPS with secure aggregation: a
// server process and a process for each device of a round, one of which is killed after it has
// shared its keys. Needs the devices of stage 3.
struct FederatedResult {
  std::size_t rounds = 0, cohort = 0, processes = 0;
  std::size_t attempts_failed = 0;
  std::size_t dropped_clients = 0;
  bool masked_equals_plain = false;  // in every round, every ring element of the server's sum
  std::size_t elements_compared = 0;
  ModelQuality global{};  // of the last model
  std::vector<double> nll_by_round = {},
                      top1_by_round = {};  // on the test slates; [0] is the first model
  double bytes_up_per_client = 0,
         bytes_down_per_client = 0;  // bodies, mean over the rounds played to their end
  double seconds = 0;
};
Result<FederatedResult> run_federated(const DemoOptions& options, Console& console);

}  // namespace inkling::tools
