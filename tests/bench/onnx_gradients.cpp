// The gradients of a network whose parameters are inputs of its ONNX model, for a comparison with
// another system (torch_gradients.py).
//
// Usage: onnx_gradients MODEL.onnx DIR
// DIR/in/NAME.npy is the value of input NAME, DIR/weight.npy has the shape of the first output y;
// the loss is the sum of y * weight. Writes DIR/y.npy and DIR/gradient/NAME.npy for each float
// input.

#include <cstdio>
#include <cstring>

#include "autograd/differentiate.h"
#include "convert/onnx/import.h"
#include "runtime/ops.h"
#include "runtime/session.h"
#include "tools/npy.h"

namespace inkling {
namespace {

Result<void> write_view(const Path& path, const TensorView& view) {
  INK_TRY(const Bytes bytes, tools::encode_npy(view));
  return write_file(path, bytes);
}

Result<void> gradients(const Path& model_path, const Path& folder) {
  INK_TRY(const Bytes bytes, read_file(model_path, std::size_t{1} << 30));
  onnx_import::Options options;
  std::map<std::string, Tensor> values;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "in")) {
    INK_TRY(Tensor tensor, tools::read_npy(entry.path()));
    const std::string name = entry.path().stem().string();
    options.input_shapes[name] = tensor.shape();
    values.emplace(name, std::move(tensor));
  }
  INK_TRY(const Tensor weight, tools::read_npy(folder / "weight.npy"));
  INK_TRY(const Model model, onnx_import::import_model(bytes, options));

  Graph graph = model.graph;
  const ValueId y = graph.outputs()[0].value;
  const ValueId loss =
      sum(graph, mul(graph, y, graph.constant(std::make_shared<const Tensor>(weight.clone()))));
  std::vector<ValueId> inputs;
  for (const ValueId id : graph.inputs()) {
    if (graph.spec(id).dtype == DType::kF32) inputs.push_back(id);
  }
  INK_TRY(const auto wanted, differentiate(graph, loss, inputs));
  for (std::size_t i = 0; i < inputs.size(); ++i)
    graph.output(concat("gradient/", graph.value(inputs[i]).name), wanted[i]);
  INK_TRY(Session session, Session::create(graph));
  for (const auto& [name, tensor] : values) {
    INK_TRY(const TensorView view, session.input(name));
    if (view.spec != tensor.spec())
      return fail(ErrorCode::kInvalidArgument, "input '", name, "' is ", view.spec, ", given ",
                  tensor.spec());
    std::memcpy(view.data, tensor.raw(), view.spec.bytes());
  }
  session.run();
  INK_TRY(const TensorView output, session.output(graph.outputs()[0].name));
  INK_CHECK_OK(write_view(folder / "y.npy", output));
  std::filesystem::create_directories(folder / "gradient");
  for (const ValueId id : inputs) {
    const std::string& name = graph.value(id).name;
    INK_TRY(const TensorView gradient, session.output(concat("gradient/", name)));
    INK_CHECK_OK(write_view(folder / "gradient" / (name + ".npy"), gradient));
  }
  return {};
}

}  // namespace
}  // namespace inkling

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: onnx_gradients MODEL.onnx DIR\n");
    return 2;
  }
  const auto done = inkling::gradients(argv[1], argv[2]);
  if (done) return 0;
  std::fprintf(stderr, "onnx_gradients: %s\n", done.error().message.c_str());
  return 1;
}
