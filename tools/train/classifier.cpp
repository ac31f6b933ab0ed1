#include "tools/train/classifier.h"

#include <charconv>
#include <cstdio>
#include <sstream>

#include "runtime/passes/passes.h"

namespace inkling::tools {

namespace {

constexpr std::int64_t kBatch = 64;

// Three numbers, in the fewest digits that read back as the same.
std::string numbers_text(const std::array<double, 3>& numbers) {
  std::string text;
  for (const double v : numbers) {
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), v).ptr;
    text += concat(text.empty() ? "" : " ", std::string_view(digits.data(), end));
  }
  return text;
}

Result<void> read_numbers(const Model& model, const char* key, std::array<double, 3>& to) {
  const auto found = model.metadata.find(key);
  if (found == model.metadata.end()) return {};
  std::istringstream words(found->second);
  for (double& v : to) {
    if (!(words >> v))
      return fail(ErrorCode::kCorrupt, "model metadata ", key, ": got '", found->second,
                  "', expected three numbers");
  }
  return {};
}

}  // namespace

void PictureInput::fill(ByteSpan pixels, std::span<float> to) const {
  const std::size_t area = size.height * size.width;
  for (std::size_t c = 0; c < size.channels; ++c) {
    const auto factor = static_cast<float>(1 / (255 * scaling.std[c]));
    const auto offset = static_cast<float>(-scaling.mean[c] / scaling.std[c]);
    for (std::size_t i = 0; i < area; ++i) {
      const float v = static_cast<float>(pixels[i * size.channels + c]) * factor + offset;
      to[channels_first ? c * area + i : i * size.channels + c] = v;
    }
  }
}

Result<PictureInput> picture_input(const Graph& graph, const PixelScaling& scaling) {
  const auto is_color = [](std::int64_t channels) { return channels == 1 || channels == 3; };
  if (graph.inputs().size() == 1) {
    const Value& input = graph.value(graph.inputs()[0]);
    const Shape& s = input.spec.shape;
    if (input.spec.dtype == DType::kF32 && s.rank() == 4 && s[0] == 1 &&
        (is_color(s[1]) || is_color(s[3]))) {
      const bool first = is_color(s[1]) && !(is_color(s[3]) && s[3] < s[1]);
      const auto size = [&](std::size_t axis) { return static_cast<std::size_t>(s[axis]); };
      return PictureInput{
          input.name,
          first ? PictureSize{size(2), size(3), size(1)} : PictureSize{size(1), size(2), size(3)},
          first, scaling};
    }
  }
  return fail(ErrorCode::kInvalidArgument, "the model has ", graph.inputs().size(), " inputs",
              graph.inputs().empty() ? "" : concat(", the first ", graph.spec(graph.inputs()[0])),
              ": expected one f32[1, 1 or 3, height, width] or f32[1, height, width, 1 or 3]");
}

Result<void> ModelInput::fill(const Examples& examples, std::size_t row, Bytes& room,
                              std::span<float> to) const {
  if (const Table* table = examples.table()) {
    const auto from = table->row(row);
    std::copy(from.begin(), from.end(), to.begin());
  } else {
    INK_TRY(const ByteSpan pixels, examples.pictures()->picture(row, room));
    picture->fill(pixels, to);
  }
  return {};
}

Result<ModelInput> model_input(const Graph& graph, const Model& about,
                               const PixelScaling& fallback) {
  ModelInput input;
  const auto columns = about.metadata.find("columns");
  if (columns == about.metadata.end()) {
    INK_TRY(const PixelScaling scaling, scaling_of(about, fallback));
    INK_TRY(input.picture, picture_input(graph, scaling));
    input.name = input.picture->name;
    input.floats = input.picture->size.bytes();
    return input;
  }
  input.columns = lines_of(columns->second);
  input.floats = input.columns.size();
  const auto label = about.metadata.find("label_column");
  if (label != about.metadata.end()) input.label_column = label->second;
  const TensorSpec expected{DType::kF32, Shape{1, static_cast<std::int64_t>(input.floats)}};
  if (graph.inputs().size() != 1 || graph.spec(graph.inputs()[0]) != expected) {
    return fail(ErrorCode::kInvalidArgument, "the model does not take its ", input.floats,
                " columns: expected one input ", expected);
  }
  input.name = graph.value(graph.inputs()[0]).name;
  return input;
}

Model classifier_model(Graph graph, const ModelInput& input,
                       const std::vector<std::string>& classes) {
  Model model{std::move(graph), {}};
  model.metadata = {{"labels", joined_lines(classes)}, {"producer", "inkling train"}};
  if (input.picture) {
    model.metadata["input_mean"] = numbers_text(input.picture->scaling.mean);
    model.metadata["input_std"] = numbers_text(input.picture->scaling.std);
  } else {
    model.metadata["columns"] = joined_lines(input.columns);
    model.metadata["label_column"] = input.label_column;
  }
  return model;
}

Result<PixelScaling> scaling_of(const Model& model, const PixelScaling& fallback) {
  PixelScaling scaling = fallback;
  INK_CHECK_OK(read_numbers(model, "input_mean", scaling.mean));
  INK_CHECK_OK(read_numbers(model, "input_std", scaling.std));
  for (const double v : scaling.std) {
    if (!(v > 0))
      return fail(ErrorCode::kCorrupt, "model metadata input_std: ", v, " is not positive");
  }
  return scaling;
}

Result<Classifier> open_classifier(const Path& path) {
  Classifier classifier;
  INK_TRY(classifier.model, open_model(path));
  const Graph& graph = classifier.model.graph;
  const auto labels = classifier.model.metadata.find("labels");
  if (labels == classifier.model.metadata.end() || graph.outputs().empty())
    return fail(ErrorCode::kInvalidArgument, path.string(), ": a model without labels");
  classifier.classes = lines_of(labels->second);
  const TensorSpec& out = graph.spec(graph.outputs()[0].value);
  if (out !=
      TensorSpec{DType::kF32, Shape{1, static_cast<std::int64_t>(classifier.classes.size())}}) {
    return fail(ErrorCode::kInvalidArgument, path.string(), ": gives ", out, " for ",
                classifier.classes.size(), " labels");
  }
  auto input = model_input(graph, classifier.model);
  if (!input) return fail_within(std::move(input).error(), path.string());
  classifier.input = std::move(*input);
  return classifier;
}

Result<Tensor> classify(const Classifier& classifier, std::size_t rows, const FillRow& fill,
                        unsigned threads) {
  const Graph& graph = classifier.model.graph;
  // A model that cannot take several examples at once takes them one by one.
  const auto batched =
      with_batch(graph, std::min<std::int64_t>(kBatch, static_cast<std::int64_t>(rows)));
  INK_TRY(Session session, Session::create(batched ? *batched : graph, {.threads = threads}));
  return compute_features(session, classifier.input.name, graph.outputs()[0].name, rows, fill);
}

Result<Tensor> classify(const Classifier& classifier, const Examples& examples, unsigned threads) {
  Bytes room;
  return classify(
      classifier, examples.rows().count(),
      [&](std::size_t row, std::span<float> to) {
        return classifier.input.fill(examples, row, room, to);
      },
      threads);
}

}  // namespace inkling::tools
