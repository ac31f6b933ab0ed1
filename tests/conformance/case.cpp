#include "tests/conformance/case.h"

#include <onnx/onnx-data_pb.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "convert/onnx/tensor_reader.h"
#include "convert/tflite/import.h"

namespace inkling::conformance {

namespace {

constexpr double kAbsolute = 1e-5, kRelative = 1e-3;

// What a file of a data set holds.
struct Recorded {
  std::vector<Tensor> tensors;
  bool is_sequence = false;
  bool is_absent = false;
};

template <typename Proto>
Result<Proto> parse(const Path& path) {
  INK_TRY(const Bytes bytes, read_file(path));
  Proto proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return fail(ErrorCode::kCorrupt, path.string(), ": does not parse");
  return proto;
}

// The recorder had no bf16 and wrote their bits as u16.
void name_bits(Tensor& tensor, const onnx::TypeProto::Tensor& type) {
  if (type.elem_type() != onnx::TensorProto::BFLOAT16 || tensor.dtype() != DType::kU16) return;
  Tensor named = Tensor::zeros({DType::kBF16, tensor.shape()});
  std::memcpy(named.view().data, tensor.raw(), tensor.spec().bytes());
  tensor = std::move(named);
}

// Some recordings have a shape that their model does not allow.
Result<void> expect_declared(const Tensor& tensor, const onnx::TypeProto::Tensor& type) {
  if (!type.has_shape()) return {};
  const auto& shape = type.shape();
  bool fits = static_cast<int>(tensor.shape().rank()) == shape.dim_size();
  for (int i = 0; fits && i < shape.dim_size(); ++i) {
    const std::int64_t size = tensor.shape()[static_cast<std::size_t>(i)];
    fits = !shape.dim(i).has_dim_value() || shape.dim(i).dim_value() == size ||
           shape.dim(i).dim_value() == 0;
  }
  if (fits) return {};
  return fail(ErrorCode::kUnsupported, "the recorded input ", tensor.spec(),
              " contradicts the shape that the model declares");
}

Result<Recorded> tensors_of(const onnx::SequenceProto& sequence) {
  Recorded recorded;
  recorded.is_sequence = true;
  if (sequence.tensor_values_size() == 0 && sequence.sequence_values_size() > 0)
    return fail(ErrorCode::kUnsupported, "a sequence of sequences");
  for (const auto& tensor : sequence.tensor_values()) {
    INK_TRY(recorded.tensors.emplace_back(), onnx_import::read_tensor(tensor));
  }
  return recorded;
}

Result<Recorded> tensor_of(const onnx::TensorProto& tensor) {
  Recorded recorded;
  INK_TRY(recorded.tensors.emplace_back(), onnx_import::read_tensor(tensor));
  return recorded;
}

Result<Recorded> read_recorded(const Path& path, const onnx::TypeProto& type) {
  if (type.has_sequence_type()) {
    INK_TRY(const auto sequence, parse<onnx::SequenceProto>(path));
    return tensors_of(sequence);
  }
  if (type.has_optional_type()) {
    INK_TRY(const auto optional, parse<onnx::OptionalProto>(path));
    if (optional.has_sequence_value()) return tensors_of(optional.sequence_value());
    if (optional.has_tensor_value()) return tensor_of(optional.tensor_value());
    Recorded recorded;
    recorded.is_absent = true;
    return recorded;
  }
  INK_TRY(const auto tensor, parse<onnx::TensorProto>(path));
  INK_TRY(Recorded recorded, tensor_of(tensor));
  name_bits(recorded.tensors[0], type.tensor_type());
  return recorded;
}

double as_double(Half x) { return static_cast<double>(to_float(x)); }
double as_double(BFloat16 x) { return static_cast<double>(to_float(x)); }
template <typename T>
double as_double(T x) {
  return static_cast<double>(x);
}

bool near(double got, double expected, double absolute) {
  if (std::isnan(expected) || std::isinf(expected))
    return std::isnan(expected) ? std::isnan(got) : got == expected;
  return std::abs(got - expected) <= absolute + kRelative * std::abs(expected);
}

template <typename T>
std::string first_far(const Tensor& got, const Tensor& expected, double rounding) {
  const auto a = got.data<T>(), b = expected.data<T>();
  double largest = 0;
  for (const T x : b) {
    if (std::isfinite(as_double(x))) largest = std::max(largest, std::abs(as_double(x)));
  }
  const double absolute = std::max(kAbsolute, rounding * largest);
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!near(as_double(a[i]), as_double(b[i]), absolute))
      return concat("element ", i, " is ", as_double(a[i]), ", expected ", as_double(b[i]));
  }
  return {};
}

// The tensors of one file, under the names that the importer gives them.
void append(std::vector<NamedTensor>& list, const std::string& name, Recorded recorded) {
  for (std::size_t k = 0; k < recorded.tensors.size(); ++k)
    list.push_back(
        {recorded.is_sequence ? concat(name, "[", k, "]") : name, std::move(recorded.tensors[k])});
}

Result<DataSet> read_data_set(const onnx::GraphProto& graph, const Path& folder) {
  DataSet set;
  for (int i = 0; i < graph.input_size(); ++i) {
    const Path path = folder / concat("input_", i, ".pb");
    if (!std::filesystem::exists(path)) continue;
    const auto& input = graph.input(i);
    INK_TRY(Recorded recorded, read_recorded(path, input.type()));
    if (input.type().has_tensor_type())
      INK_CHECK_OK(expect_declared(recorded.tensors[0], input.type().tensor_type()));
    if (recorded.is_absent) set.form.absent_inputs.insert(input.name());
    if (recorded.is_sequence) set.form.sequence_lengths[input.name()] = recorded.tensors.size();
    append(set.inputs, input.name(), std::move(recorded));
  }
  for (int i = 0; i < graph.output_size(); ++i) {
    const auto& output = graph.output(i);
    INK_TRY(Recorded recorded, read_recorded(folder / concat("output_", i, ".pb"), output.type()));
    append(set.outputs, output.name(), std::move(recorded));
  }
  return set;
}

// Of a TensorFlow Lite model: recorded tensors say themselves which they are.
Result<std::vector<NamedTensor>> read_named(const Path& folder, const char* kind) {
  std::vector<NamedTensor> tensors;
  for (std::size_t i = 0;; ++i) {
    const Path path = folder / concat(kind, "_", i, ".pb");
    if (!std::filesystem::exists(path)) return tensors;
    INK_TRY(const auto proto, parse<onnx::TensorProto>(path));
    INK_TRY(Tensor tensor, onnx_import::read_tensor(proto));
    tensors.push_back({proto.name(), std::move(tensor)});
  }
}

Result<void> run_data_set(Network& network, const DataSet& set, double rounding) {
  INK_TRY(const auto outputs, network.run(set));
  if (outputs.size() != set.outputs.size())
    return fail(ErrorCode::kVerification, outputs.size(), " outputs, expected ",
                set.outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    std::string why = outputs[i].name == set.outputs[i].name
                          ? difference(outputs[i].tensor, set.outputs[i].tensor, rounding)
                          : "in another place";
    if (!why.empty())
      return fail(ErrorCode::kVerification, "output '", outputs[i].name, "': ", why);
  }
  return {};
}

Result<void> run_folder(const Path& folder, const PlanOptions& options, double rounding) {
  INK_TRY(const Case recorded, read_case(folder));
  INK_TRY(auto network, Network::open(recorded, options));
  for (const DataSet& set : recorded.sets) INK_CHECK_OK(run_data_set(network, set, rounding));
  return {};
}

// "onnx: node 'y' (Einsum): ..." names Einsum; without a node, the model's first op that computes.
std::string op_of(const std::string& reason, const onnx::ModelProto& model) {
  const std::size_t node = reason.find("node '"), open = reason.find("' (", node);
  if (node != std::string::npos && open != std::string::npos)
    return reason.substr(open + 3, reason.find(')', open) - open - 3);
  for (const auto& candidate : model.graph().node()) {
    if (candidate.op_type() != "Constant") return candidate.op_type();
  }
  return {};
}

}  // namespace

std::string difference(const Tensor& got, const Tensor& expected, double rounding) {
  if (got.spec() != expected.spec()) return concat(got.spec(), ", expected ", expected.spec());
  switch (expected.dtype()) {
    case DType::kF32:
      return first_far<float>(got, expected, rounding);
    case DType::kF64:
      return first_far<double>(got, expected, rounding);
    case DType::kF16:
      return first_far<Half>(got, expected, rounding);
    case DType::kBF16:
      return first_far<BFloat16>(got, expected, rounding);
    default: {
      const auto* a = static_cast<const std::uint8_t*>(got.raw());
      const auto* b = static_cast<const std::uint8_t*>(expected.raw());
      const std::size_t bytes = expected.spec().bytes();
      const auto at = std::mismatch(a, a + bytes, b).first - a;
      if (static_cast<std::size_t>(at) == bytes) return {};
      return concat("element ", static_cast<std::size_t>(at) / dtype_bytes(expected.dtype()),
                    " differs");
    }
  }
}

Result<Network> Network::open(const Case& recorded, const PlanOptions& options) {
  if (!tflite_import::is_tflite(recorded.model)) {
    INK_TRY(auto program, onnx_import::Program::open(recorded.model, options));
    return Network(std::move(program));
  }
  INK_TRY(const Model model, tflite_import::import_model(recorded.model));
  INK_TRY(Session session, Session::create(model.graph, options));
  return Network(std::move(session));
}

Result<std::vector<NamedTensor>> Network::run(const DataSet& set) {
  if (auto* program = std::get_if<onnx_import::Program>(&model_))
    return program->run(set.inputs, set.form);
  return run_named(std::get<Session>(model_), set.inputs);
}

Result<Session*> Network::plan(const DataSet& set) {
  if (auto* program = std::get_if<onnx_import::Program>(&model_))
    return program->plan(set.inputs, set.form);
  return &std::get<Session>(model_);
}

std::size_t Network::plans() const {
  const auto* program = std::get_if<onnx_import::Program>(&model_);
  return program ? program->plans() : 1;
}

Result<Case> read_case(const Path& folder) {
  Case result;
  const Path tflite = folder / "model.tflite", onnx = folder / "model.onnx";
  const bool lite = std::filesystem::exists(tflite);
  INK_TRY(result.model, read_file(lite ? tflite : onnx));
  onnx::ModelProto model;
  if (!lite) {
    INK_TRY(model, parse<onnx::ModelProto>(onnx));
  }
  for (std::size_t i = 0;; ++i) {
    const Path set = folder / concat("test_data_set_", i);
    if (!std::filesystem::is_directory(set)) break;
    DataSet& added = result.sets.emplace_back();
    if (lite) {
      INK_TRY(added.inputs, read_named(set, "input"));
      INK_TRY(added.outputs, read_named(set, "output"));
    } else {
      INK_TRY(added, read_data_set(model.graph(), set));
    }
  }
  if (result.sets.empty()) return fail(ErrorCode::kNotFound, folder.string(), ": no data sets");
  return result;
}

CaseResult run_case(const std::string& name, const Path& folder, const PlanOptions& options,
                    double rounding) {
  CaseResult result;
  result.name = name;
  const auto model = parse<onnx::ModelProto>(folder / "model.onnx");
  const Result<void> done = run_folder(folder, options, rounding);
  if (!done) {
    result.outcome =
        done.error().code == ErrorCode::kUnsupported ? Outcome::kUnsupported : Outcome::kFailed;
    result.reason = done.error().message;
  }
  if (model) result.op = op_of(result.reason, *model);
  return result;
}

Result<std::vector<std::string>> find_cases(const Path& data) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& kind : std::filesystem::directory_iterator(data, error)) {
    if (!kind.is_directory()) continue;
    for (const auto& entry : std::filesystem::directory_iterator(kind.path(), error)) {
      if (std::filesystem::exists(entry.path() / "model.onnx") ||
          std::filesystem::exists(entry.path() / "model.tflite"))
        names.push_back((kind.path().filename() / entry.path().filename()).string());
    }
  }
  if (error || names.empty())
    return fail(ErrorCode::kNotFound, data.string(),
                ": no cases, expected KIND/CASE/model.onnx (Debian: libonnx-testdata)");
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace inkling::conformance
