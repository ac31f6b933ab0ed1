#include "tools/train/results.h"

#include <nlohmann/json.hpp>

#include "tools/measure.h"
#include "tools/report.h"
#include "tools/version.h"

namespace inkling::tools {

namespace {

using Json = nlohmann::ordered_json;

double megabytes(std::size_t bytes) { return static_cast<double>(bytes) / 1e6; }

Json evaluation_of(const Evaluation& e, const Examples& set) {
  Json json = {{set.noun(), e.count},
               {"accuracy", e.accuracy},
               {"nll", e.nll},
               {"classes", set.rows().classes},
               {"confusion", e.confusion}};
  json["skipped"] = Json::array();
  for (const SkippedPicture& skipped : set.skipped())
    json["skipped"].push_back({{"file", skipped.file}, {"reason", skipped.reason}});
  return json;
}

std::string source_of(const TrainSettings& s) {
  return s.base.empty() ? s.layers : s.base.string() + (s.from_scratch ? " (from scratch)" : "");
}

std::string choice_of(const TrainSettings& s) {
  if (!s.train.empty()) return s.train;
  return s.base.empty() || s.from_scratch ? "all" : "head";
}

// Pictures that are decoded again when they are used.
std::size_t streamed(const TrainPlan& plan) {
  return plan.sets.train.pictures() ? plan.sets.train.pictures()->files.size() : 0;
}

Json estimate_json(const TrainSettings& s, const TrainPlan& plan, const TrainEstimate& e) {
  return {{"schema_version", 1},
          {"streamed_pictures", streamed(plan)},
          {"inkling", version_text()},
          {"seed", s.seed},
          {"threads", s.threads},
          {"base", source_of(s)},
          {"train", choice_of(s)},
          {"cached_features", plan.caches_features},
          {"base_parameters", plan.base_parameters},
          {"trained_parameters", e.trained_parameters},
          {"memory_mb", megabytes(e.memory_bytes)},
          {"recomputed_segments", e.segments - 1},
          {"micro_batches", e.pieces},
          {concat("train_", plan.sets.train.noun()), plan.train_rows.size()},
          {concat("validation_", plan.sets.train.noun()), plan.validation_rows.size()},
          {"steps", e.steps}};
}

ReportTable confusion_table(const Evaluation& e, const LabelledRows& set) {
  ReportTable table{"Confusion: a row for each true class", {""}, {}};
  table.columns.insert(table.columns.end(), set.classes.begin(), set.classes.end());
  for (std::size_t label = 0; label < e.confusion.size(); ++label) {
    std::vector<std::string> row = {set.classes[label]};
    for (const std::size_t count : e.confusion[label]) row.push_back(concat(count));
    table.rows.push_back(std::move(row));
  }
  return table;
}

ReportTable most_wrong_rows(const Evaluation& e, const LabelledRows& set,
                            std::span<const std::size_t> rows) {
  ReportTable table{"Most wrong", {"row", "true class", "taken for"}, {}};
  for (const std::size_t i : e.most_wrong) {
    const std::size_t row = rows.empty() ? i : rows[i];
    table.rows.push_back(
        {set.names[row], set.classes[set.labels[row]], set.classes[e.predicted[i]]});
  }
  return table;
}

Result<ReportPictures> most_wrong(const Evaluation& e, const PictureSet& set,
                                  std::span<const std::size_t> rows) {
  ReportPictures pictures{"Most wrong", {}};
  for (const std::size_t i : e.most_wrong) {
    const std::size_t row = rows.empty() ? i : rows[i];
    Bytes room;
    INK_TRY(const ByteSpan pixels, set.picture(row, room));
    INK_TRY(Bytes png, encode_png({set.size, Bytes(pixels.begin(), pixels.end())}));
    pictures.items.push_back({concat(set.names[row], ": ", set.classes[set.labels[row]],
                                     ", taken for ", set.classes[e.predicted[i]]),
                              std::move(png)});
  }
  return pictures;
}

Result<ReportSection> evaluation_section(const char* heading, const Evaluation& e,
                                         const Examples& set, std::span<const std::size_t> rows) {
  ReportSection section{
      .heading = heading,
      .text = concat(e.count, " ", set.noun(), ": accuracy ", format_number(e.accuracy), ", NLL ",
                     format_number(e.nll), "."),
      .blocks = {}};
  section.blocks.emplace_back(confusion_table(e, set.rows()));
  if (!e.most_wrong.empty() && set.table()) {
    section.blocks.emplace_back(most_wrong_rows(e, set.rows(), rows));
  } else if (!e.most_wrong.empty()) {
    INK_TRY(ReportPictures pictures, most_wrong(e, *set.pictures(), rows));
    section.blocks.emplace_back(std::move(pictures));
  }
  return section;
}

ReportSection curves(const TrainResult& result) {
  ChartSeries loss{"training loss", {}, {}}, nll{"validation NLL", {}, {}},
      accuracy{"validation accuracy", {}, {}};
  for (std::size_t i = 0; i < result.history.size(); ++i) {
    const auto epoch = static_cast<double>(i + 1);
    loss.x.push_back(epoch);
    loss.y.push_back(result.history[i].loss);
    nll.x.push_back(epoch);
    nll.y.push_back(result.history[i].validation_nll);
    accuracy.x.push_back(epoch);
    accuracy.y.push_back(result.history[i].validation_accuracy);
  }
  ReportSection section{.heading = "Training", .text = {}, .blocks = {}};
  if (!result.validation) {
    section.blocks.emplace_back(ReportChart{"Loss", "epoch", "nats", {loss}});
    return section;
  }
  section.text = concat("The model of epoch ", result.best_epoch + 1, " is kept.");
  section.blocks.emplace_back(ReportChart{"Loss", "epoch", "nats", {loss, nll}});
  section.blocks.emplace_back(ReportChart{"Accuracy", "epoch", "accuracy", {accuracy}});
  return section;
}

}  // namespace

std::string train_summary(const TrainSettings& s, const TrainPlan& plan, const TrainResult& r) {
  Json json = estimate_json(s, plan, r.estimate);
  json["parameters"] = r.parameters;
  json["epochs"] = r.history.size();
  json["best_epoch"] = r.best_epoch + 1;
  if (r.validation) {
    json["validation_accuracy"] = r.validation->accuracy;
    json["validation_nll"] = r.validation->nll;
  }
  if (r.test) {
    json["test_accuracy"] = r.test->accuracy;
    json["test_nll"] = r.test->nll;
    json["test"] = evaluation_of(*r.test, *plan.sets.test);
  }
  json["skipped_pictures"] = plan.sets.train.skipped().size();
  json["seconds"] = r.seconds;
  json["peak_rss_mb"] = peak_rss_mb();
  return json.dump(2) + "\n";
}

Result<std::string> train_report(const TrainSettings& s, const TrainPlan& plan,
                                 const TrainResult& r) {
  Report report{.title = "Training on " + s.data.string(),
                .text = concat(source_of(s), ", trained: ", choice_of(s), " (",
                               r.estimate.trained_parameters, " numbers), ", plan.train_rows.size(),
                               " ", plan.sets.train.noun(), ", seed ", s.seed, "."),
                .sections = {}};
  report.sections.push_back(curves(r));
  if (r.validation) {
    INK_TRY(report.sections.emplace_back(),
            evaluation_section("Validation", *r.validation, plan.sets.train, plan.validation_rows));
  }
  if (r.test) {
    INK_TRY(report.sections.emplace_back(),
            evaluation_section("Test", *r.test, *plan.sets.test, {}));
  }
  return render_report(report);
}

std::string explain_text(const TrainSettings& s, const TrainPlan& plan, const TrainEstimate& e) {
  return concat(
      "base: ", source_of(s), ", ", plan.base_parameters, " numbers\n",
      "data: ", plan.train_rows.size(), " ", plan.sets.train.noun(), " of ",
      plan.sets.train.rows().classes.size(), " classes to learn from, ",
      plan.validation_rows.size(), " held back, ", plan.sets.train.skipped().size(), " skipped",
      streamed(plan) > 0 ? concat(", ", streamed(plan), " decoded again when they are used")
                         : std::string(),
      "\n", "trained: ", choice_of(s), ", ", e.trained_parameters, " numbers",
      plan.caches_features ? concat("; the base runs once over the ", plan.sets.train.noun())
                           : std::string(),
      "\n", "memory: ", format_number(megabytes(e.memory_bytes)), " MB",
      e.segments > 1 ? concat(", activations computed again in ", e.segments, " segments")
                     : std::string(),
      "\n", "time: ", e.steps, " steps of ", format_number(e.step_seconds * 1000), " ms, together ",
      format_number(e.step_seconds * static_cast<double>(e.steps)), " s\n");
}

std::string explain_json(const TrainSettings& s, const TrainPlan& plan, const TrainEstimate& e) {
  Json json = estimate_json(s, plan, e);
  json["step_ms"] = e.step_seconds * 1000;
  json["seconds"] = e.step_seconds * static_cast<double>(e.steps);
  return json.dump(2) + "\n";
}

std::string evaluation_json(const Evaluation& evaluation, const Examples& set) {
  return evaluation_of(evaluation, set).dump(2) + "\n";
}

}  // namespace inkling::tools
