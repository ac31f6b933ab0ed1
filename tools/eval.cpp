// inkling eval: how good a picture classifier is on labelled pictures.

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
  unsigned threads = 2;
  bool json = false;
};

Result<void> eval(const EvalSpec& spec, Console& console) {
  INK_TRY(const PictureClassifier classifier, open_classifier(spec.model, spec.patch));
  INK_TRY(PictureSets sets,
          read_picture_sets(
              {.path = spec.data, .size = classifier.input.size, .classes = classifier.classes}));
  const PictureSet& set = sets.test ? *sets.test : sets.train;
  for (const SkippedPicture& skipped : set.skipped)
    console.log().warning(concat(skipped.file, ": skipped: ", skipped.reason));
  if (set.count() == 0)
    return fail(ErrorCode::kInvalidArgument, spec.data.string(), ": no readable picture");
  Bytes room;
  INK_TRY(const Tensor probabilities,
          classify(
              classifier, set.count(), [&](std::size_t row) { return set.picture(row, room); },
              spec.threads));
  const Evaluation evaluation = evaluate(probabilities, set.labels);
  if (spec.json) {
    console.out() << evaluation_json(evaluation, set);
    return {};
  }
  console.out() << evaluation.count << " pictures: accuracy " << format_number(evaluation.accuracy)
                << ", NLL " << format_number(evaluation.nll) << "\n";
  for (std::size_t label = 0; label < set.classes.size(); ++label) {
    std::size_t count = 0;
    for (const std::size_t n : evaluation.confusion[label]) count += n;
    console.out() << set.classes[label] << ": " << evaluation.confusion[label][label] << " of "
                  << count << " right\n";
  }
  return {};
}

}  // namespace

void add_eval(CLI::App& root, Action& chosen) {
  auto spec = std::make_shared<EvalSpec>();
  CLI::App* app = root.add_subcommand("eval", "Measure a picture classifier on labelled pictures");
  app->add_option("model", spec->model, "Model file that train wrote, or the base of a patch")
      ->type_name("MODEL.ink")
      ->required();
  app->add_option("--patch", spec->patch, "Patch that train wrote; the model is its base")
      ->type_name("PATCH.ink");
  app->add_option("--data", spec->data,
                  "Folder per class, label file, or MNIST-like folder; of train and test, test")
      ->type_name("PATH")
      ->required();
  app->add_option("--threads", spec->threads, "Threads to run on")
      ->type_name("N=2")
      ->check(CLI::Range(1, 64));
  app->add_flag("--json", spec->json, "Print JSON, with the confusion matrix");
  app->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return eval(*spec, console); }; });
}

}  // namespace inkling::tools
