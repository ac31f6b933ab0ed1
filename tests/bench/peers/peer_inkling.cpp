// Inkling on the model file that `inkling convert` made of model.onnx. FILE: kernels that `inkling
// tune` found.

#include <cstring>
#include <stdexcept>

#include "runtime/model.h"
#include "runtime/session.h"
#include "tests/bench/peers/worker.h"
#include "tools/kernel_cache.h"

namespace inkling::peers {
namespace {

template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(*result);
}

class InklingPeer : public Peer {
 public:
  explicit InklingPeer(Session session) : session_(std::move(session)) {}
  void run() override { session_.run(); }
  std::vector<float> output() override {
    const auto view = must(session_.output(session_.graph().outputs()[0].name));
    const auto values = view.span<float>();
    return {values.begin(), values.end()};
  }
  void fill(const Example& example) {
    for (const Example::Input& input : example.inputs) {
      const auto to = must(session_.input(input.name)).span<float>();
      if (to.size() != input.values.size()) throw std::runtime_error(input.name + ": other size");
      std::copy(input.values.begin(), input.values.end(), to.begin());
    }
  }

 private:
  Session session_;
};

}  // namespace

std::unique_ptr<Peer> open_peer(const PeerSpec& spec, const Example& example) {
  const Model model = must(open_model(spec.folder + "/model.ink"));
  auto peer =
      std::make_unique<InklingPeer>(must(Session::create(model.graph, {.threads = spec.threads})));
  peer->fill(example);
  return peer;
}

}  // namespace inkling::peers
