// libtorch on a frozen trace: as it is, or after optimize_for_inference, whichever is faster here.

#include <ATen/Parallel.h>
#include <torch/script.h>

#include <chrono>

#include "tests/bench/peers/worker.h"

namespace inkling::peers {
namespace {

class TorchPeer : public Peer {
 public:
  TorchPeer(const PeerSpec& spec, const Example& example) {
    at::set_num_threads(static_cast<int>(spec.threads));
    for (const Example::Input& input : example.inputs)
      inputs_.push_back(torch::tensor(input.values).reshape(input.sizes));
    const auto load = [&] {
      auto module = torch::jit::load(spec.folder + "/model.pt");
      module.eval();
      return module;
    };
    module_ = load();
    const double plain = seconds();
    const auto frozen = module_;
    try {
      module_ = load();
      module_ = torch::jit::optimize_for_inference(module_);
      if (seconds() > plain) module_ = frozen;
    } catch (const std::exception&) {
      module_ = frozen;  // some networks cannot be converted
    }
  }

  void run() override {
    const c10::InferenceMode inference;
    output_ = module_.forward(inputs_).toTensor();
  }

  std::vector<float> output() override {
    const auto y = output_.contiguous();
    return {y.data_ptr<float>(), y.data_ptr<float>() + y.numel()};
  }

 private:
  // The fastest of a few runs, the first of which compile.
  double seconds() {
    double best = 1e9;
    for (int i = 0; i < 8; ++i) {
      const auto start = std::chrono::steady_clock::now();
      run();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      best = std::min(best, took.count());
    }
    return best;
  }

  torch::jit::Module module_;
  std::vector<c10::IValue> inputs_;
  at::Tensor output_;
};

}  // namespace

std::unique_ptr<Peer> open_peer(const PeerSpec& spec, const Example& example) {
  return std::make_unique<TorchPeer>(spec, example);
}

}  // namespace inkling::peers
