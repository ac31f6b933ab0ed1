// inkling eval: how good a classifier is on labelled pictures or rows of a table.

#include <CLI/CLI.hpp>
#include <memory>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/report.h"
#include "tools/train/patch.h"
#include "tools/train/results.h"

namespace inkling::tools {
namespace {

struct EvalSpec {
  Path model, patch, data;
  std::string table;
  unsigned threads = 2;
  bool json = false;
};

// What the classifier takes, with its classes.
Result<Examples> examples_of(const EvalSpec& spec, const Classifier& classifier) {
  const ModelInput& input = classifier.input;
  if (!input.picture) {
    if (input.label_column.empty())
      return fail(ErrorCode::kCorrupt, spec.model.string(), ": does not name its label column");
    INK_TRY(Table table, read_table_file({.path = spec.data,
                                          .label = input.label_column,
                                          .table = spec.table,
                                          .columns = input.columns,
                                          .classes = classifier.classes}));
    return Examples{std::move(table)};
  }
  INK_TRY(PictureSets sets,
          read_picture_sets(
              {.path = spec.data, .size = input.picture->size, .classes = classifier.classes}));
  return Examples{sets.test ? std::move(*sets.test) : std::move(sets.train)};
}

Result<void> eval(const EvalSpec& spec, Console& console) {
  INK_TRY(const Classifier classifier, open_classifier(spec.model, spec.patch));
  INK_TRY(const Examples set, examples_of(spec, classifier));
  for (const SkippedPicture& skipped : set.skipped())
    console.log().warning(concat(skipped.file, ": skipped: ", skipped.reason));
  if (set.rows().count() == 0)
    return fail(ErrorCode::kInvalidArgument, spec.data.string(), ": no readable picture");
  INK_TRY(const Tensor probabilities, classify(classifier, set, spec.threads));
  const Evaluation evaluation = evaluate(probabilities, set.rows().labels);
  if (spec.json) {
    console.out() << evaluation_json(evaluation, set);
    return {};
  }
  console.out() << evaluation.count << " " << set.noun() << ": accuracy "
                << format_number(evaluation.accuracy) << ", NLL " << format_number(evaluation.nll)
                << "\n";
  for (std::size_t label = 0; label < set.rows().classes.size(); ++label) {
    std::size_t count = 0;
    for (const std::size_t n : evaluation.confusion[label]) count += n;
    console.out() << set.rows().classes[label] << ": " << evaluation.confusion[label][label]
                  << " of " << count << " right\n";
  }
  return {};
}

}  // namespace

void add_eval(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<EvalSpec>();
  CLI::App* app = root.add_subcommand("eval", "Measure a classifier on labelled pictures or rows");
  app->add_option("model", spec->model, "Model file that train wrote, or the base of a patch")
      ->type_name("MODEL.ink")
      ->required();
  app->add_option("--patch", spec->patch, "Patch that train wrote; the model is its base")
      ->type_name("PATCH.ink");
  app->add_option(
         "--data", spec->data,
         "Folder per class, label file, MNIST-like folder, or table; of train and test, test")
      ->type_name("PATH")
      ->required();
  app->add_option("--table", spec->table, "Table of a SQLite file, where it has several")
      ->type_name("NAME");
  app->add_option("--threads", spec->threads, "Threads to run on")
      ->type_name("N=2")
      ->check(CLI::Range(1, 64));
  app->add_flag("--json", spec->json, "Print JSON, with the confusion matrix");
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return eval(*spec, console); }; });
}

}  // namespace inkling::tools
