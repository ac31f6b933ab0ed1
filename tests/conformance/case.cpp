#include "tests/conformance/case.h"

#include <onnx/onnx-data_pb.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "convert/onnx/tensor_reader.h"

namespace inkling::conformance {

namespace {

using onnx_import::NamedTensor;

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

bool near(double got, double expected) {
  if (std::isnan(expected) || std::isinf(expected))
    return std::isnan(expected) ? std::isnan(got) : got == expected;
  return std::abs(got - expected) <= kAbsolute + kRelative * std::abs(expected);
}

template <typename T>
std::string first_far(const Tensor& got, const Tensor& expected) {
  const auto a = got.data<T>(), b = expected.data<T>();
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!near(as_double(a[i]), as_double(b[i])))
      return concat("element ", i, " is ", as_double(a[i]), ", expected ", as_double(b[i]));
  }
  return {};
}

// Why two tensors differ; empty when they do not.
std::string difference(const Tensor& got, const Tensor& expected) {
  if (got.spec() != expected.spec()) return concat(got.spec(), ", expected ", expected.spec());
  switch (expected.dtype()) {
    case DType::kF32:
      return first_far<float>(got, expected);
    case DType::kF64:
      return first_far<double>(got, expected);
    case DType::kF16:
      return first_far<Half>(got, expected);
    case DType::kBF16:
      return first_far<BFloat16>(got, expected);
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

Result<void> run_data_set(onnx_import::Program& program, const DataSet& set) {
  INK_TRY(const auto outputs, program.run(set.inputs, set.form));
  if (outputs.size() != set.outputs.size())
    return fail(ErrorCode::kVerification, outputs.size(), " outputs, expected ",
                set.outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    std::string why = outputs[i].name == set.outputs[i].name
                          ? difference(outputs[i].tensor, set.outputs[i].tensor)
                          : "in another place";
    if (!why.empty())
      return fail(ErrorCode::kVerification, "output '", outputs[i].name, "': ", why);
  }
  return {};
}

Result<void> run_folder(const Path& folder, const PlanOptions& options) {
  INK_TRY(const Case recorded, read_case(folder));
  INK_TRY(auto program, onnx_import::Program::open(recorded.model, options));
  for (const DataSet& set : recorded.sets) INK_CHECK_OK(run_data_set(program, set));
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

Result<Case> read_case(const Path& folder) {
  Case result;
  INK_TRY(result.model, read_file(folder / "model.onnx"));
  INK_TRY(const auto model, parse<onnx::ModelProto>(folder / "model.onnx"));
  for (std::size_t i = 0;; ++i) {
    const Path set = folder / concat("test_data_set_", i);
    if (!std::filesystem::is_directory(set)) break;
    INK_TRY(result.sets.emplace_back(), read_data_set(model.graph(), set));
  }
  if (result.sets.empty()) return fail(ErrorCode::kNotFound, folder.string(), ": no data sets");
  return result;
}

CaseResult run_case(const std::string& name, const Path& folder, const PlanOptions& options) {
  CaseResult result;
  result.name = name;
  const auto model = parse<onnx::ModelProto>(folder / "model.onnx");
  const Result<void> done = run_folder(folder, options);
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
      if (std::filesystem::exists(entry.path() / "model.onnx"))
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
