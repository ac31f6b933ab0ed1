#include "tools/train/patch.h"

#include "tools/model_source.h"

namespace inkling::tools {

namespace {

constexpr std::size_t kBaseBytesMax = std::size_t{2} << 30;
constexpr const char* kShapes = "patch_shapes";

Result<std::string> base_digest(const Path& base) {
  INK_TRY(const Bytes bytes, read_file(base, kBaseBytesMax));
  return to_hex(sha256(bytes));
}

Result<Classifier> patched(const Path& base, const Model& file) {
  INK_TRY(const std::string digest, base_digest(base));
  auto patch = read_patch(file, digest);
  if (!patch) return fail_within(std::move(patch).error(), base.string());
  const auto shapes = file.metadata.find(kShapes);
  INK_TRY(const Model model,
          load_model({.model = base,
                      .shapes = shapes == file.metadata.end() ? std::vector<std::string>()
                                                              : lines_of(shapes->second),
                      .values = {}}));
  INK_TRY(Graph graph, patched_graph(model.graph, *patch));
  Classifier classifier;
  INK_TRY(classifier.input, model_input(graph, file));
  classifier.classes = lines_of(patch->metadata["labels"]);
  const auto count = static_cast<std::int64_t>(classifier.classes.size());
  if (graph.shape(graph.outputs()[0].value) != Shape{1, count}) {
    return fail(ErrorCode::kCorrupt, "patch: gives ", graph.spec(graph.outputs()[0].value), " for ",
                count, " labels");
  }
  classifier.model = classifier_model(std::move(graph), classifier.input, classifier.classes);
  return classifier;
}

}  // namespace

Result<Model> make_patch(const TrainSettings& settings, const TrainedValues& values,
                         const Classifier& classifier) {
  ModelPatch patch{.base = {},
                   .train = settings.train.empty() ? "head" : settings.train,
                   .features = settings.features_name,
                   .values = {},
                   .metadata = classifier.model.metadata};
  INK_TRY(patch.values, rounded_for_patch(values));
  INK_TRY(patch.base, base_digest(settings.base));
  patch.metadata[kShapes] = joined_lines(settings.shapes);
  return patch_model(patch);
}

Result<Classifier> open_patched(const Path& base, const Path& patch_path) {
  INK_TRY(const Model patch, open_model(patch_path));
  auto classifier = patched(base, patch);
  if (!classifier) return fail_within(std::move(classifier).error(), patch_path.string());
  return classifier;
}

Result<Classifier> open_classifier(const Path& model, const Path& patch) {
  return patch.empty() ? open_classifier(model) : open_patched(model, patch);
}

}  // namespace inkling::tools
