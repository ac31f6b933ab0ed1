// inkling predict: what a picture classifier sees in pictures.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/report.h"
#include "tools/train/patch.h"

namespace inkling::tools {
namespace {

struct PredictSpec {
  Path model, patch;
  std::vector<Path> pictures;
  std::size_t top = 3;
  unsigned threads = 1;
  bool json = false;
};

Result<Picture> read_fitted(const Path& path, const PictureSize& size) {
  INK_TRY(const Bytes bytes, read_file(path, kPictureFileBytesMax));
  auto picture = decode_picture(bytes, size.channels);
  if (!picture) return fail_within(std::move(picture).error(), path.string());
  return picture->size == size ? std::move(*picture) : resize(*picture, size.height, size.width);
}

std::vector<std::size_t> best_first(std::span<const float> probabilities, std::size_t count) {
  std::vector<std::size_t> order(probabilities.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return probabilities[a] > probabilities[b];
  });
  order.resize(std::min(order.size(), count));
  return order;
}

Result<void> predict(const PredictSpec& spec, Console& console) {
  INK_TRY(const PictureClassifier classifier, open_classifier(spec.model, spec.patch));
  std::vector<Picture> pictures;
  for (const Path& path : spec.pictures) {
    INK_TRY(pictures.emplace_back(), read_fitted(path, classifier.input.size));
  }
  INK_TRY(const Tensor probabilities,
          classify(
              classifier, pictures.size(),
              [&](std::size_t row) { return ByteSpan(pictures[row].pixels); }, spec.threads));
  const std::size_t classes = classifier.classes.size();
  auto json = nlohmann::ordered_json::array();
  for (std::size_t row = 0; row < pictures.size(); ++row) {
    const auto p = probabilities.data<float>().subspan(row * classes, classes);
    std::string line = spec.pictures[row].string() + ":";
    auto labels = nlohmann::ordered_json::array();
    for (const std::size_t c : best_first(p, spec.top)) {
      line += concat(" ", classifier.classes[c], " ", format_number(static_cast<double>(p[c])));
      labels.push_back({{"label", classifier.classes[c]}, {"probability", p[c]}});
    }
    json.push_back({{"file", spec.pictures[row].string()}, {"predictions", labels}});
    if (!spec.json) console.out() << line << "\n";
  }
  if (spec.json) console.out() << json.dump(2) << "\n";
  return {};
}

}  // namespace

void add_predict(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<PredictSpec>();
  CLI::App* app = root.add_subcommand("predict", "Say what a picture classifier sees");
  app->add_option("model", spec->model, "Model file that train wrote, or the base of a patch")
      ->type_name("MODEL.ink")
      ->required();
  app->add_option("pictures", spec->pictures, "Picture files")->type_name("FILE...")->required();
  app->add_option("--patch", spec->patch, "Patch that train wrote; the model is its base")
      ->type_name("PATCH.ink");
  app->add_option("--top", spec->top, "How many classes a picture")
      ->type_name("N=3")
      ->check(CLI::Range(1, 1000));
  app->add_option("--threads", spec->threads, "Threads to run on")
      ->type_name("N=1")
      ->check(CLI::Range(1, 64));
  app->add_flag("--json", spec->json, "Print JSON");
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return predict(*spec, console); }; });
}

}  // namespace inkling::tools
