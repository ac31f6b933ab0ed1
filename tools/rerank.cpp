// inkling rerank evaluate: trains and measures a reranking model on real or one's own data.

#include <CLI/CLI.hpp>

#include "tools/command.h"
#include "tools/console.h"
#include "tools/datasets/camera.h"
#include "tools/datasets/choice_log.h"
#include "tools/datasets/margarine.h"
#include "tools/datasets/movielens.h"
#include "tools/rerank/results.h"

namespace inkling::tools {

namespace {

struct EvaluateSpec {
  std::string data = "camera";
  std::string model = "edgerec";
  std::string split = "test";
  Path report;
  StudyOptions study;
  FederatedOptions federated;
  std::vector<double> epsilons;
  bool is_federated = false, no_curve = false;
  bool no_history = false;
  bool json = false;
};

Result<ChoiceData> load(const std::string& name) {
  if (name == "camera") return load_camera();
  if (name == "margarine") return load_margarine();
  if (name == "movielens") return load_movielens();
  return load_choice_log(name);
}

Result<void> evaluate_rerank(const EvaluateSpec& spec, Console& console) {
  StudyOptions study = spec.study;
  study.history = !spec.no_history;
  if (spec.no_curve) study.curve.clear();
  if (spec.is_federated || !spec.epsilons.empty()) study.federated = spec.federated;
  study.split = spec.split == "inner" ? Split::kInner : Split::kTest;
  const auto name = std::find(std::begin(kModelNames), std::end(kModelNames), spec.model);
  study.model = static_cast<ModelKind>(name - std::begin(kModelNames));
  console.progress(concat("reading ", spec.data));
  INK_TRY(const ChoiceData data, load(spec.data));
  INK_TRY(StudyResult result, run_study(data, study, console));
  for (const double epsilon : spec.epsilons) {
    console.progress(concat("again with epsilon ", epsilon));
    StudyOptions noisy = study;
    noisy.federated->epsilon = epsilon;
    noisy.curve.clear();
    INK_TRY(const StudyResult r, run_study(data, noisy, console));
    result.prices.push_back({r.federated->epsilon, r.global, r.personal});
  }
  const StudyLabels labels{spec.data, spec.model, spec.split, study.seed};
  if (!spec.report.empty()) INK_CHECK_OK(write_study_report(result, labels, spec.report));
  if (spec.json) {
    console.out() << study_json(result, labels) << "\n";
  } else {
    console.out() << study_text(result, labels);
  }
  return {};
}

void add_evaluate(CLI::App& rerank, Action& chosen) {
  auto spec = std::make_shared<EvaluateSpec>();
  CLI::App* app = rerank.add_subcommand("evaluate", "Train a model, replay people, and measure");
  app->add_option("--data", spec->data, "camera, margarine, movielens or a .csv or .jsonl file")
      ->type_name("NAME|FILE=camera");
  app->add_option("--model", spec->model, "server, logit, din or edgerec")
      ->type_name("MODEL=edgerec")
      ->check(CLI::IsMember({"server", "logit", "din", "edgerec"}));
  app->add_option("--split", spec->split, "test, or inner: a part of the training slates")
      ->type_name("SPLIT=test")
      ->check(CLI::IsMember({"test", "inner"}));
  app->add_option("--seed", spec->study.seed, "Seed of initial weights, order and intervals")
      ->type_name("N=1");
  app->add_option("--epochs", spec->study.training.epochs, "Passes over the slates (din, edgerec)")
      ->type_name("N")
      ->check(CLI::Range(1, 1000));
  app->add_option("--rate", spec->study.training.rate, "Learning rate (din, edgerec)")
      ->type_name("X")
      ->check(CLI::PositiveNumber);
  app->add_option("--decay", spec->study.training.weight_decay, "Weight decay (din, edgerec)")
      ->type_name("X")
      ->check(CLI::NonNegativeNumber);
  app->add_option("--list-fatigue", spec->study.list_fatigue,
                  "Also measure lists found by a beam search, where an item like those above it is "
                  "worth less by up to this share")
      ->type_name("X=0")
      ->check(CLI::Range(0.0, 1.0));
  app->add_flag("--federated", spec->is_federated,
                "Train as a server would that sees sums of clipped and rounded uploads alone");
  app->add_flag("--masked", spec->federated.masked,
                "Take these sums by secure aggregation, which changes no bit of them");
  app->add_option("--rounds", spec->federated.rounds, "Rounds of local passes (din, edgerec)")
      ->type_name("N")
      ->check(CLI::Range(1, 100000));
  app->add_option("--cohort", spec->federated.cohort, "People in such a round")
      ->type_name("N")
      ->check(CLI::Range(2, 2000));
  app->add_option("--epsilon", spec->epsilons,
                  "Also with these budgets of privacy: noise in every sum of what people chose")
      ->type_name("E,...")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  app->add_flag("--no-curve", spec->no_curve, "Leave out how patches do under other pulls");
  app->add_flag("--no-history", spec->no_history, "Leave the history columns out");
  app->add_option("--report", spec->report, "Write a report here")->type_name("FILE.html");
  app->add_flag("--json", spec->json, "Print one JSON object");
  app->callback([&chosen, spec] {
    chosen = [spec](Console& console) { return evaluate_rerank(*spec, console); };
  });
}

}  // namespace

void add_rerank(CLI::App& root, Action& chosen) {
  CLI::App* app = root.add_subcommand("rerank", "Evaluate reranking models");
  app->require_subcommand(1);
  add_evaluate(*app, chosen);
}

}  // namespace inkling::tools
