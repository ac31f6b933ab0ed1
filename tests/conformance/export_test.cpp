// Real networks that go out as ONNX and come back compute what they did.

#include <gtest/gtest.h>

#include "convert/onnx/export.h"
#include "convert/tflite/import.h"
#include "tests/conformance/case.h"

namespace inkling::conformance {
namespace {

// The inputs with numbers to compute with; the others are made part of the model, as they may
// choose a branch.
struct Specialised {
  onnx_import::Options options;
  std::vector<NamedTensor> inputs;
};

Specialised specialise(const DataSet& set) {
  Specialised s;
  for (const NamedTensor& input : set.inputs) {
    if (is_float(input.tensor.dtype())) {
      s.options.input_shapes[input.name] = input.tensor.shape();
      s.inputs.push_back({input.name, input.tensor.clone()});
    } else {
      s.options.input_values[input.name] = std::make_shared<const Tensor>(input.tensor.clone());
    }
  }
  return s;
}

void expect_recorded(const std::string& name, std::span<const NamedTensor> got,
                     std::span<const NamedTensor> recorded) {
  ASSERT_EQ(got.size(), recorded.size()) << name;
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(difference(got[i].tensor, recorded[i].tensor, kNetworkRounding), "") << name;
  }
}

TEST(Export, RealNetworksComeBackAsTheyWent) {
  const Path data = RECORDED;
  const auto names = find_cases(data);
  ASSERT_TRUE(names) << names.error().message;
  std::size_t exported = 0;
  for (const std::string& name : *names) {
    const auto recorded = read_case(data / name);
    ASSERT_TRUE(recorded) << recorded.error().message;
    for (const DataSet& set : recorded->sets) {
      const Specialised s = specialise(set);
      const auto model = tflite_import::is_tflite(recorded->model)
                             ? tflite_import::import_model(recorded->model)
                             : onnx_import::import_model(recorded->model, s.options);
      ASSERT_TRUE(model) << name << ": " << model.error().message;
      const auto bytes = onnx_export::export_model(*model);
      ASSERT_TRUE(bytes) << name << ": " << bytes.error().message;
      auto program = onnx_import::Program::open(*bytes);
      ASSERT_TRUE(program) << name << ": " << program.error().message;
      const auto outputs = program->run(s.inputs);
      ASSERT_TRUE(outputs) << name << ": " << outputs.error().message;
      expect_recorded(name, *outputs, set.outputs);
      ++exported;
    }
  }
  EXPECT_GE(exported, 38u);
}

TEST(Export, RefusesAGraphThatTrains) {
  Model model;
  const ValueId w = model.graph.variable("w", Tensor::zeros({DType::kF32, {2}}));
  const ValueId x = model.graph.input("x", {DType::kF32, {2}});
  const ValueId pair[] = {w, x};
  model.graph.update(w, model.graph.append(OpKind::kAdd, pair));
  const auto bytes = onnx_export::export_model(model);
  ASSERT_FALSE(bytes);
  EXPECT_EQ(bytes.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace inkling::conformance
