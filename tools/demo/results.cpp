#include "tools/demo/results.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "tools/report.h"
#include "tools/version.h"

namespace inkling::tools {

namespace {

using Json = nlohmann::ordered_json;

Json interval_json(const Interval& i) { return Json::array({i.low, i.high}); }

Json transfer_json(const TransferResult& t) {
  return {{"data",
           "fashion-mnist: base on classes 0 1 2 4 6 7 9 of the training set, new classes 3 5 8, "
           "measured on the test set"},
          {"pictures_per_class", t.pictures_per_class},
          {"accuracy_three_new_classes", t.accuracy_three_new_classes},
          {"accuracy_ten_classes", t.accuracy_ten_classes},
          {"base_accuracy_seven_classes", t.base_accuracy_seven_classes},
          {"base_parameters", t.base_parameters},
          {"seconds", t.seconds},
          {"base_seconds", t.base_seconds}};
}

Json camera_json(const RerankResult& r) {
  return {{"data", "r-cran-bayesm camera: tasks 1-12 of each person train, 13-16 test"},
          {"people", r.people},
          {"train_slates", r.train_slates},
          {"test_slates", r.test_slates},
          {"top1_global", r.global.top1.mean},
          {"top1_global_interval", interval_json(r.global.top1)},
          {"ndcg_global", r.global.ndcg.mean},
          {"nll_global", r.global.nll.mean},
          {"top1_personal", r.personal.top1.mean},
          {"top1_personal_interval", interval_json(r.personal.top1)},
          {"ndcg_personal", r.personal.ndcg.mean},
          {"nll_personal", r.personal.nll.mean},
          {"nll_personal_interval", interval_json(r.personal.nll)},
          {"pull", r.pull},
          {"people_worse", r.people_worse},
          {"patch_bytes", r.patch_bytes},
          {"seconds", r.seconds}};
}

Json federated_json(const FederatedResult& f) {
  return {{"data", "the training slates in the same people's behaviour logs"},
          {"rounds", f.rounds},
          {"cohort", f.cohort},
          {"client_processes", f.processes},
          {"attempts_failed", f.attempts_failed},
          {"dropped_clients", f.dropped_clients},
          {"masked_equals_plain", f.masked_equals_plain},
          {"elements_compared", f.elements_compared},
          {"top1_global", f.global.top1.mean},
          {"top1_global_interval", interval_json(f.global.top1)},
          {"nll_global", f.global.nll.mean},
          {"bytes_up_per_client", f.bytes_up_per_client},
          {"bytes_down_per_client", f.bytes_down_per_client},
          {"seconds", f.seconds}};
}

Json summary_json(const DemoResults& r, const DemoOptions& options) {
  return {{"schema_version", 1},
          {"inkling", version_text()},
          {"seed", options.seed},
          {"onnx",
           {{"model", r.imported.model},
            {"max_abs_error", r.imported.max_abs_error},
            {"numbers_compared", r.imported.compared}}},
          {"transfer", transfer_json(r.transfer)},
          {"rerank", {{"camera", camera_json(r.rerank)}}},
          {"federated", federated_json(r.federated)},
          {"timings",
           {{"threads", options.threads},
            {"demo_seconds", r.seconds},
            {"onnx_eight_pictures_ms", r.imported.milliseconds}}}};
}

std::string percent(double share) { return format_number(100 * share) + " %"; }

std::string with_interval(const Interval& i) {
  return format_number(i.mean) + " (" + format_number(i.low) + " to " + format_number(i.high) + ")";
}

std::vector<double> counting(std::size_t count, double step) {
  std::vector<double> x(count);
  for (std::size_t i = 0; i < count; ++i) x[i] = static_cast<double>(i) * step;
  return x;
}

ReportSection imported_section(const ImportedModelResult& r) {
  const ReportTable table{
      "Agreement with onnxruntime 1.30 on eight inputs made of real pictures",
      {"measure", "value"},
      {{"numbers compared", format_number(static_cast<double>(r.compared))},
       {"largest difference", format_number(r.max_abs_error)},
       {"steps of the optimised plan", format_number(static_cast<double>(r.steps))},
       {"milliseconds for eight inputs", format_number(r.milliseconds)}}};
  return {"A network that someone else trained",
          "The text-direction classifier " + r.model + " (MobileNetV3), imported from ONNX.",
          {table}};
}

ReportSection transfer_section(const TransferResult& r) {
  const ReportTable table{
      "Accuracy on the test set",
      {"task", "accuracy"},
      {{"three new classes, 20 pictures each", percent(r.accuracy_three_new_classes)},
       {"all ten classes, 20 pictures each", percent(r.accuracy_ten_classes)},
       {"the base on its own seven classes", percent(r.base_accuracy_seven_classes)}}};
  std::vector<double> steps = counting(r.base_losses.size(), kLossEvery);
  for (double& x : steps) x += kLossEvery;
  const ReportChart chart{
      "Training the base", "step", "loss", {{"mean of 50 steps", steps, r.base_losses}}};
  return {"Transfer learning on the device",
          "A convolutional base that has seen seven classes of Fashion-MNIST is frozen; its "
          "features are computed once; a new head learns dress, "
          "sandal and bag from 20 pictures each in " +
              format_number(r.seconds) + " seconds, features and measuring included.",
          {table, chart}};
}

ReportSection rerank_section(const RerankResult& r) {
  const ReportTable table{
      "Camera slates, test tasks, with 95 % intervals over people",
      {"measure", "global model", "with each person's patch"},
      {{"top-1", with_interval(r.global.top1), with_interval(r.personal.top1)},
       {"NDCG", with_interval(r.global.ndcg), with_interval(r.personal.ndcg)},
       {"negative log-likelihood", with_interval(r.global.nll), with_interval(r.personal.nll)},
       {"people whose likelihood got worse", "", percent(r.people_worse)}}};
  ChartSeries held{"held-back training slates (chooses the pull)", {}, {}},
      test{"test slates (shown only)", {}, {}};
  for (std::size_t i = 0; i < r.pulls.size(); ++i) {
    held.x.push_back(std::log10(r.pulls[i].pull));
    held.y.push_back(r.pulls[i].held_back_nll);
    test.x.push_back(std::log10(r.pulls[i].pull));
    test.y.push_back(r.pulls[i].test_nll);
  }
  const ReportChart chart{"The pull towards the global model",
                          "log10 of the pull",
                          "negative log-likelihood",
                          {held, test}};
  return {"Reranking for one person",
          format_number(static_cast<double>(r.people)) +
              " people, each with a behaviour log of their own. A patch of " +
              format_number(static_cast<double>(r.patch_bytes)) +
              " bytes is trained from that log on the device.",
          {table, chart}};
}

ReportSection federated_section(const FederatedResult& f, const RerankResult& r) {
  const ReportTable table{
      "Federated averaging with secure aggregation over HTTPS",
      {"measure", "value"},
      {{"rounds of " + format_number(static_cast<double>(f.cohort)) + " devices",
        format_number(static_cast<double>(f.rounds))},
       {"device processes", format_number(static_cast<double>(f.processes))},
       {"devices killed after sharing their keys",
        format_number(static_cast<double>(f.dropped_clients))},
       {"unmasked sum equals the sum of what the survivors masked",
        f.masked_equals_plain ? "yes, every element" : "NO"},
       {"ring elements compared", format_number(static_cast<double>(f.elements_compared))},
       {"bytes sent by a device in a round", format_number(f.bytes_up_per_client)},
       {"top-1 of the federated model", with_interval(f.global.top1)},
       {"top-1 of the central model", with_interval(r.global.top1)}}};
  const std::vector<double> rounds = counting(f.nll_by_round.size(), 1);
  const std::vector<double> central(rounds.size(), r.global.nll.mean);
  const ReportChart chart{
      "Test loss by round",
      "round",
      "negative log-likelihood",
      {{"federated", rounds, f.nll_by_round}, {"central optimum", rounds, central}}};
  return {"The global model, without seeing anyone's data",
          "The server learns the sum of each round's updates and nothing else.",
          {table, chart}};
}

}  // namespace

Result<void> write_results(const DemoResults& r, const DemoOptions& options) {
  INK_CHECK_OK(
      write_file(options.out / "summary.json", as_bytes(summary_json(r, options).dump(2) + "\n")));
  const Report report{"Inkling: the whole loop on real data",
                      version_text() + ", seed " + std::to_string(options.seed) + ", " +
                          format_number(r.seconds) + " seconds.",
                      {imported_section(r.imported), transfer_section(r.transfer),
                       rerank_section(r.rerank), federated_section(r.federated, r.rerank)}};
  INK_TRY(const std::string html, render_report(report));
  return write_file(options.out / "report.html", as_bytes(html));
}

}  // namespace inkling::tools
