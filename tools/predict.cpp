// inkling predict: what a classifier sees in pictures or in the rows of a table.

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
  std::vector<Path> files;
  std::string table;
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

// What is seen in each of some examples.
struct Seen {
  std::vector<std::string> names;
  Tensor probabilities;
};

Result<Seen> see_pictures(const PredictSpec& spec, const Classifier& classifier) {
  Seen seen;
  std::vector<Picture> pictures;
  for (const Path& path : spec.files) {
    INK_TRY(pictures.emplace_back(), read_fitted(path, classifier.input.picture->size));
    seen.names.push_back(path.string());
  }
  INK_TRY(seen.probabilities, classify(
                                  classifier, pictures.size(),
                                  [&](std::size_t row, std::span<float> to) {
                                    classifier.input.picture->fill(pictures[row].pixels, to);
                                    return Result<void>();
                                  },
                                  spec.threads));
  return seen;
}

Result<Seen> see_rows(const PredictSpec& spec, const Classifier& classifier) {
  if (spec.files.size() != 1)
    return fail(ErrorCode::kInvalidArgument, "predict: expected one table, got ", spec.files.size(),
                " files");
  INK_TRY(Table table, read_table_file({.path = spec.files[0],
                                        .label = {},
                                        .table = spec.table,
                                        .columns = classifier.input.columns}));
  Seen seen{table.names, {}};
  INK_TRY(seen.probabilities, classify(classifier, Examples{std::move(table)}, spec.threads));
  return seen;
}

Result<void> predict(const PredictSpec& spec, Console& console) {
  INK_TRY(const Classifier classifier, open_classifier(spec.model, spec.patch));
  const bool pictures = classifier.input.picture.has_value();
  INK_TRY(const Seen seen, pictures ? see_pictures(spec, classifier) : see_rows(spec, classifier));
  const std::size_t classes = classifier.classes.size();
  auto json = nlohmann::ordered_json::array();
  for (std::size_t row = 0; row < seen.names.size(); ++row) {
    const auto p = seen.probabilities.data<float>().subspan(row * classes, classes);
    std::string line = seen.names[row] + ":";
    auto labels = nlohmann::ordered_json::array();
    for (const std::size_t c : best_first(p, spec.top)) {
      line += concat(" ", classifier.classes[c], " ", format_number(static_cast<double>(p[c])));
      labels.push_back({{"label", classifier.classes[c]}, {"probability", p[c]}});
    }
    json.push_back({{pictures ? "file" : "row", seen.names[row]}, {"predictions", labels}});
    if (!spec.json) console.out() << line << "\n";
  }
  if (spec.json) console.out() << json.dump(2) << "\n";
  return {};
}

}  // namespace

void add_predict(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<PredictSpec>();
  CLI::App* app = root.add_subcommand("predict", "Say what a classifier sees");
  app->add_option("model", spec->model, "Model file that train wrote, or the base of a patch")
      ->type_name("MODEL.ink")
      ->required();
  app->add_option("files", spec->files, "Picture files, or one table with the columns of the model")
      ->type_name("FILE...")
      ->required();
  app->add_option("--patch", spec->patch, "Patch that train wrote; the model is its base")
      ->type_name("PATCH.ink");
  app->add_option("--table", spec->table, "Table of a SQLite file, where it has several")
      ->type_name("NAME");
  app->add_option("--top", spec->top, "How many classes of each")
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
