#include "tools/train/patch.h"

#include <cmath>

#include "runtime/half.h"
#include "tools/model_source.h"

namespace inkling::tools {

namespace {

constexpr std::size_t kBaseBytesMax = std::size_t{2} << 30;
constexpr const char* kBase = "patch_base";
constexpr const char* kShapes = "patch_shapes";
constexpr const char* kFeatures = "patch_features";
constexpr const char* kTrain = "patch_train";

Result<std::string> base_digest(const Path& base) {
  INK_TRY(const Bytes bytes, read_file(base, kBaseBytesMax));
  return to_hex(sha256(bytes));
}

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

// What a key of the metadata holds; empty when it is not there.
std::string entry(const Model& patch, const char* key) {
  const auto found = patch.metadata.find(key);
  return found == patch.metadata.end() ? std::string() : found->second;
}

Result<TrainedValues> values_in(const Model& patch) {
  TrainedValues values;
  const Graph& g = patch.graph;
  for (const ValueId id : g.variables()) {
    if (g.spec(id).dtype != DType::kF16)
      return fail(ErrorCode::kCorrupt, "patch: '", g.value(id).name, "' is ", g.spec(id),
                  ", expected f16");
    values.emplace(g.value(id).name, floats_of(*g.value(id).tensor));
  }
  return values;
}

Result<PictureClassifier> patched(const Path& base, const Model& patch) {
  INK_TRY(const std::string digest, base_digest(base));
  if (entry(patch, kBase).empty()) return fail(ErrorCode::kCorrupt, "a model file, but no patch");
  if (entry(patch, kBase) != digest) {
    return fail(ErrorCode::kVerification, "made for a base of SHA-256 ", entry(patch, kBase),
                ", got ", base.string(), " of ", digest);
  }
  PictureClassifier classifier;
  classifier.classes = lines_of(entry(patch, "labels"));
  INK_TRY(const TrainChoice choice, parse_train_choice(entry(patch, kTrain)));
  const ModelSource source{.model = base, .shapes = lines_of(entry(patch, kShapes)), .values = {}};
  INK_TRY(const Model model, load_model(source));
  INK_TRY(const Graph cut,
          cut_head(model.graph, entry(patch, kFeatures), choice.part == TrainPart::kNorm));
  INK_TRY(const PixelScaling scaling, scaling_of(patch, {}));
  INK_TRY(classifier.input, picture_input(cut, scaling));
  INK_TRY(const TrainedValues values, values_in(patch));
  const FineTuneSpec spec{.classes = static_cast<std::int64_t>(classifier.classes.size()),
                          .train = choice};
  INK_TRY(Graph graph, trained_graph(cut, spec, values));
  classifier.model = classifier_model(std::move(graph), scaling, classifier.classes);
  return classifier;
}

}  // namespace

Result<TrainedValues> rounded_for_patch(const TrainedValues& values) {
  TrainedValues rounded;
  for (const auto& [name, tensor] : values) {
    Tensor back = floats_of(halves_of(tensor));
    for (const float v : back.data<float>()) {
      if (!std::isfinite(v))
        return fail(ErrorCode::kUnsupported, "patch: a value of ", name, " is beyond 65504");
    }
    rounded.emplace(name, std::move(back));
  }
  return rounded;
}

Result<Model> make_patch(const TrainSettings& settings, const TrainedValues& values,
                         const PictureClassifier& classifier) {
  INK_TRY(const std::string digest, base_digest(settings.base));
  INK_TRY(const TrainedValues rounded, rounded_for_patch(values));
  Model patch;
  for (const auto& [name, tensor] : rounded) patch.graph.variable(name, halves_of(tensor));
  INK_CHECK_OK(patch.graph.status());
  patch.metadata = classifier.model.metadata;
  patch.metadata[kBase] = digest;
  patch.metadata[kShapes] = joined_lines(settings.shapes);
  patch.metadata[kFeatures] = settings.features_name;
  patch.metadata[kTrain] = settings.train.empty() ? "head" : settings.train;
  return patch;
}

Result<PictureClassifier> open_patched(const Path& base, const Path& patch_path) {
  INK_TRY(const Model patch, open_model(patch_path));
  auto classifier = patched(base, patch);
  if (!classifier) return fail_within(std::move(classifier).error(), patch_path.string());
  return classifier;
}

Result<PictureClassifier> open_classifier(const Path& model, const Path& patch) {
  return patch.empty() ? open_classifier(model) : open_patched(model, patch);
}

}  // namespace inkling::tools
