// inkling train: a classifier from a folder of pictures or a table, on a base that is there already
// or from scratch.

#include <CLI/CLI.hpp>
#include <memory>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/report.h"
#include "tools/train/patch.h"
#include "tools/train/results.h"

namespace inkling::tools {
namespace {

struct TrainCommand {
  TrainSettings settings;
  std::string text;  // the settings as a configuration file
  bool explain = false, json = false;
};

void warn_of_skipped(const Examples& set, Console& console) {
  for (const SkippedPicture& skipped : set.skipped())
    console.log().warning(concat(skipped.file, ": skipped: ", skipped.reason));
  if (!set.skipped().empty())
    console.log().warning(
        concat(set.skipped().size(), " pictures skipped, ", set.rows().count(), " read"));
}

Result<void> train(const TrainCommand& command, Console& console) {
  const TrainSettings& s = command.settings;
  const Path model_path = s.model.empty() ? s.out / "model.ink" : s.model;
  if (!s.force && !s.resume && !command.explain && std::filesystem::exists(model_path)) {
    return fail(ErrorCode::kFailedPrecondition, model_path.string(),
                ": already there; overwrite with --force");
  }
  console.progress("reading data");
  INK_TRY(const TrainPlan plan, plan_training(s));
  warn_of_skipped(plan.sets.train, console);
  if (command.explain) {
    INK_TRY(const TrainEstimate estimate, estimate_training(s, plan));
    console.out() << (command.json ? explain_json(s, plan, estimate)
                                   : explain_text(s, plan, estimate));
    return {};
  }
  INK_TRY(const TrainResult result, run_training(s, command.text, plan, console));
  console.progress("");
  INK_CHECK_OK(save_model(result.classifier.model, model_path));
  if (!s.patch.empty()) {
    INK_TRY(const Model patch, make_patch(s, result.values, result.classifier));
    INK_CHECK_OK(save_model(patch, s.patch));
  }
  const std::string summary = train_summary(s, plan, result);
  INK_CHECK_OK(write_file(s.out / "summary.json", as_bytes(summary)));
  INK_TRY(const std::string report, train_report(s, plan, result));
  INK_CHECK_OK(write_file(s.out / "report.html", as_bytes(report)));
  if (command.json) {
    console.out() << summary;
    return {};
  }
  console.out() << model_path.string() << ": " << result.classifier.classes.size() << " classes";
  if (result.validation)
    console.out() << ", validation accuracy " << format_number(result.validation->accuracy);
  if (result.test) console.out() << ", test accuracy " << format_number(result.test->accuracy);
  console.out() << ", " << format_number(result.seconds)
                << " s\nreport: " << (s.out / "report.html").string() << "\n";
  return {};
}

void add_what(CLI::App& app, TrainSettings& s) {
  app.add_option("--base", s.base, "Trained classifier: a model file or an ONNX model")
      ->type_name("MODEL");
  app.add_option("--shape", s.shapes, "Concrete shape of an ONNX base's input")
      ->type_name("NAME=SIZES");
  app.add_option("--layers", s.layers, "Network to train instead, e.g. \"conv:32 pool dense:128\"")
      ->type_name("LAYERS")
      ->excludes("--base");
  app.add_option("--features", s.features_name, "Value of the base to cut after, by name")
      ->type_name("NAME");
  app.add_option("--train", s.train,
                 "head, last:N, bias, norm, lora:rank=N, lora:rank=N:last=M or all")
      ->type_name("PART");
  app.add_flag("--from-scratch", s.from_scratch, "Forget what the base learnt");
}

void add_data(CLI::App& app, TrainSettings& s) {
  app.add_option("--data", s.data, "Folder per class, label file, MNIST-like folder, or table")
      ->type_name("PATH")
      ->required();
  app.add_option("--test-data", s.test_data, "The same, to measure on once at the end")
      ->type_name("PATH");
  app.add_option("--data-memory", s.data_memory_mb,
                 "Most that pictures of files may take decoded, and a quarter of --memory at most: "
                 "the others are decoded again when they are used")
      ->type_name("MB")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--size", s.size, "Side of the pictures of a network")->type_name("PIXELS");
  app.add_option("--per-class", s.per_class, "Learn from so many pictures of each class only")
      ->type_name("N");
  app.add_option("--validation", s.validation, "Share held back to choose by")
      ->type_name("SHARE")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  app.add_option("--mean", s.mean, "Per channel, of pixels scaled to 0..1")
      ->type_name("R G B")
      ->capture_default_str();
  app.add_option("--std", s.std, "Pixels are divided by it after the mean is taken off")
      ->type_name("R G B")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--flip", s.flip, "Augment: left and right");
  app.add_option("--shift", s.shift, "Augment: by up to so many pixels")->type_name("PIXELS");
  app.add_option("--color", s.color, "Augment: brightness and contrast")
      ->type_name("SHARE")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--cutout", s.cutout, "Augment: blank a square")->type_name("PIXELS");
  app.add_option("--mixup", s.mixup, "Augment: mix pictures and labels by a share of Beta(A, A)")
      ->type_name("ALPHA")
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--balance", s.balance,
                 "Make classes count alike: by weights, by sampling, or none")
      ->type_name("HOW")
      ->check(CLI::IsMember({"none", "weights", "sampling"}))
      ->capture_default_str();
}

void add_table(CLI::App& app, TrainSettings& s) {
  app.add_option("--label", s.label, "Column of a table that says the class")
      ->type_name("COLUMN")
      ->capture_default_str();
  app.add_option(
         "--group", s.group,
         "Column of a table whose values are never split between sides; of pictures prefix:N, "
         "the first N characters of file names")
      ->type_name("COLUMN");
  app.add_option("--ignore", s.ignore, "Columns of a table to leave out")->type_name("COLUMN...");
  app.add_option("--table", s.table, "Table of a SQLite file, where it has several")
      ->type_name("NAME");
}

void add_how(CLI::App& app, TrainSettings& s) {
  app.add_option("--epochs", s.epochs, "Passes over the pictures")
      ->type_name("N")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--batch", s.batch, "Pictures a step")
      ->type_name("N")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--patience", s.patience, "Stop after so many epochs without a better one")
      ->type_name("N");
  app.add_option("--optimizer", s.optimizer, "adam, sgd, nesterov, adagrad, rmsprop or ftrl")
      ->type_name("NAME")
      ->check(CLI::IsMember({"adam", "sgd", "nesterov", "adagrad", "rmsprop", "ftrl"}))
      ->capture_default_str();
  app.add_option("--rate", s.rate, "Learning rate, the highest")
      ->type_name("RATE")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--schedule", s.schedule, "constant, cosine, step or one-cycle")
      ->type_name("NAME")
      ->check(CLI::IsMember({"constant", "cosine", "step", "one-cycle"}))
      ->capture_default_str();
  app.add_option("--warmup", s.warmup, "Share of the steps in which the rate grows")
      ->type_name("SHARE")
      ->check(CLI::Range(0.0, 0.9));
  app.add_option("--momentum", s.momentum, "Of sgd and nesterov")
      ->type_name("M")
      ->check(CLI::Range(0.0, 0.9999))
      ->capture_default_str();
  app.add_option("--weight-decay", s.weight_decay, "Decoupled for adam; the L2 of ftrl")
      ->type_name("DECAY")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--l1", s.l1, "Of ftrl: weights worth less are zero")
      ->type_name("L1")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--clip-norm", s.clip_norm, "Longest gradient")
      ->type_name("NORM")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--clip-value", s.clip_value, "Largest element of a gradient")
      ->type_name("VALUE")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--ema", s.ema, "Validate and keep a running mean of the weights")
      ->type_name("DECAY")
      ->check(CLI::Range(0.0, 0.999999));
  app.add_option("--accumulate", s.accumulate, "Work through a batch in so many pieces")
      ->type_name("N")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--label-smoothing", s.label_smoothing, "Share of each target spread evenly")
      ->type_name("SHARE")
      ->check(CLI::Range(0.0, 0.9));
  app.add_option("--memory", s.memory_mb,
                 "Most that the process may hold: activations are computed again, then batches are "
                 "cut, to fit")
      ->type_name("MB");
  app.add_option("--seed", s.seed, "Of weights, order, split and augmentation")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--threads", s.threads, "Threads; the result is the same for any number")
      ->type_name("N")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
}

}  // namespace

void add_train(CLI::App& root, Action& chosen) {
  auto command = std::make_shared<TrainCommand>();
  TrainSettings& s = command->settings;
  CLI::App* app =
      root.add_subcommand("train", "Train a classifier of pictures or of rows of a table");
  add_what(*app, s);
  add_data(*app, s);
  add_table(*app, s);
  add_how(*app, s);
  // Where results go and how they are shown is not part of what a run is.
  const auto apart = [](CLI::Option* option) { option->configurable(false); };
  apart(app->add_option("--out", s.out, "Folder for checkpoint, summary and report")
            ->type_name("DIR")
            ->capture_default_str());
  apart(
      app->add_option("-o,--model", s.model, "Model file to write; model.ink in --out unless given")
          ->type_name("FILE.ink"));
  apart(app->add_option("--patch", s.patch, "Write what was trained as a patch of the base, too")
            ->type_name("FILE.ink"));
  apart(app->add_flag("--resume", s.resume, "Go on from the last whole epoch"));
  apart(app->add_flag("--force", s.force, "Overwrite a run and a model that are there"));
  apart(app->add_flag("--explain", command->explain, "Say what would be trained, and stop"));
  apart(app->add_flag("--json", command->json, "Print the summary as JSON"));
  app->callback([&chosen, command, app] {
    command->text = "[train]\n" + app->config_to_str(true);
    chosen = [command](Console& console) { return train(*command, console); };
  });
}

}  // namespace inkling::tools
