#include "autograd/model_patch.h"

#include <cmath>
#include <span>

#include "runtime/half.h"

namespace inkling {

namespace {

constexpr const char* kBase = "patch_base";
constexpr const char* kTrain = "patch_train";
constexpr const char* kFeatures = "patch_features";
constexpr const char* kHead = "patch_head";
constexpr const char* kOwnHead = "own";

Tensor halves_of(const Tensor& values) {
  Tensor halves = Tensor::zeros({DType::kF16, values.shape()});
  const auto from = values.data<float>();
  const auto to = halves.mutable_data<Half>();
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = to_half(from[i]);
  return halves;
}

Tensor floats_of(const Tensor& halves) {
  Tensor values = Tensor::zeros({DType::kF32, halves.shape()});
  const auto from = halves.data<Half>();
  const auto to = values.mutable_data<float>();
  for (std::size_t i = 0; i < from.size(); ++i) to[i] = to_float(from[i]);
  return values;
}

bool is_finite(const Tensor& values) {
  for (const float v : values.data<float>()) {
    if (!std::isfinite(v)) return false;
  }
  return true;
}

Result<TrainedValues> values_in(const Graph& g) {
  TrainedValues values;
  for (const ValueId id : g.variables()) {
    const std::string& name = g.value(id).name;
    if (g.spec(id).dtype != DType::kF16)
      return fail(ErrorCode::kCorrupt, "patch: '", name, "' is ", g.spec(id), ", expected f16");
    Tensor floats = floats_of(*g.value(id).tensor);
    if (!is_finite(floats))
      return fail(ErrorCode::kCorrupt, "patch: '", name, "' has a value that is not finite");
    values.emplace(name, std::move(floats));
  }
  return values;
}

// Takes a text out of the metadata; empty when it is not there.
std::string taken(std::map<std::string, std::string>& metadata, const char* key) {
  auto node = metadata.extract(key);
  return node.empty() ? std::string() : std::move(node.mapped());
}

}  // namespace

Result<TrainedValues> rounded_for_patch(const TrainedValues& values) {
  TrainedValues rounded;
  for (const auto& [name, tensor] : values) {
    Tensor back = floats_of(halves_of(tensor));
    if (!is_finite(back))
      return fail(ErrorCode::kUnsupported, "patch: a value of ", name, " is beyond 65504");
    rounded.emplace(name, std::move(back));
  }
  return rounded;
}

Result<Model> patch_model(const ModelPatch& patch) {
  INK_TRY(const TrainedValues rounded, rounded_for_patch(patch.values));
  Model file;
  for (const auto& [name, tensor] : rounded) file.graph.variable(name, halves_of(tensor));
  INK_CHECK_OK(file.graph.status());
  file.metadata = patch.metadata;
  file.metadata[kBase] = patch.base;
  file.metadata[kTrain] = patch.train;
  file.metadata[kFeatures] = patch.features;
  if (patch.keeps_head) file.metadata[kHead] = kOwnHead;
  return file;
}

Result<ModelPatch> read_patch(const Model& file, std::string_view base) {
  ModelPatch patch;
  patch.metadata = file.metadata;
  patch.base = taken(patch.metadata, kBase);
  if (patch.base.empty()) return fail(ErrorCode::kCorrupt, "a model file, but no patch");
  if (patch.base != base) {
    return fail(ErrorCode::kVerification, "a patch for the base of SHA-256 ", patch.base,
                ", but this one has ", base);
  }
  patch.train = taken(patch.metadata, kTrain);
  patch.features = taken(patch.metadata, kFeatures);
  patch.keeps_head = taken(patch.metadata, kHead) == kOwnHead;
  INK_TRY(patch.values, values_in(file.graph));
  return patch;
}

Result<Graph> patch_base_graph(const Graph& classifier, const ModelPatch& patch) {
  INK_TRY(const TrainChoice choice, parse_train_choice(patch.train));
  const bool keep_scales = choice.part == TrainPart::kNorm;
  return patch.keeps_head ? keep_head(classifier, keep_scales)
                          : cut_head(classifier, patch.features, keep_scales);
}

Result<Graph> patched_graph(const Graph& classifier, const ModelPatch& patch) {
  INK_TRY(const TrainChoice choice, parse_train_choice(patch.train));
  INK_TRY(const Graph base, patch_base_graph(classifier, patch));
  const auto labels = patch.metadata.find("labels");
  const std::size_t classes = labels == patch.metadata.end() ? 0 : lines_of(labels->second).size();
  const FineTuneSpec spec{.classes = static_cast<std::int64_t>(classes), .train = choice};
  auto graph = trained_graph(base, spec, patch.values);
  if (!graph) return fail(ErrorCode::kCorrupt, graph.error().message);
  return graph;
}

std::string joined_lines(std::span<const std::string> lines) {
  std::string text;
  for (const std::string& line : lines) text += concat(text.empty() ? "" : "\n", line);
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

}  // namespace inkling
