#include "tools/simulation/results.h"

#include <algorithm>
#include <charconv>
#include <map>

namespace inkling::tools {

namespace {

constexpr double kSecondsPerHour = 3600, kBytesPerMegabyte = 1e6;
constexpr std::size_t kPointsMin = 3;  // of a curve over a setting's values

struct Curves {
  ChartSeries by_round, by_time, by_bytes, loss;
};

Curves curves_of(const std::string& name, const RunResult& run) {
  Curves curves{{name, {}, {}}, {name, {}, {}}, {name, {}, {}}, {name, {}, {}}};
  const auto append = [](ChartSeries& series, double x, double y) {
    series.x.push_back(x);
    series.y.push_back(y);
  };
  double bytes = 0;
  for (const RoundRecord& round : run.rounds) {
    bytes += static_cast<double>(round.bytes_up);
    append(curves.loss, static_cast<double>(round.round), round.loss);
    if (!round.evaluation) continue;
    const double accuracy = round.evaluation->accuracy;
    append(curves.by_round, static_cast<double>(round.round), accuracy);
    append(curves.by_time, round.virtual_s / kSecondsPerHour, accuracy);
    append(curves.by_bytes, bytes / kBytesPerMegabyte, accuracy);
  }
  return curves;
}

// The chart of those series that say something, as far as they stay distinguishable.
void append_chart(ReportSection& section, ReportChart chart) {
  std::erase_if(chart.series, [](const ChartSeries& s) { return s.x.empty() || s.x.back() <= 0; });
  if (chart.series.size() > kChartSeriesMax) chart.series.resize(kChartSeriesMax);
  if (!chart.series.empty()) section.blocks.emplace_back(std::move(chart));
}

void append_curves(ReportSection& section, std::span<const Curves> curves) {
  ReportChart by_round{"Accuracy by round", "round", "accuracy", {}},
      by_time{"Accuracy by time", "virtual hours", "accuracy", {}},
      by_bytes{"Accuracy by upload", "megabytes of all clients", "accuracy", {}},
      loss{"Training loss by round", "round", "loss", {}};
  for (const Curves& c : curves) {
    by_round.series.push_back(c.by_round);
    by_time.series.push_back(c.by_time);
    by_bytes.series.push_back(c.by_bytes);
    loss.series.push_back(c.loss);
  }
  for (ReportChart* chart : {&by_round, &by_time, &by_bytes, &loss})
    append_chart(section, std::move(*chart));
}

ReportSection section_of(const std::string& name, const RunResult& run) {
  ReportSection section{.heading = name, .text = {}, .blocks = {}};
  section.blocks.push_back(ReportTable{
      "Result",
      {"accuracy", "NLL", "epsilon", "clients a second", "peak memory, MB", "model SHA-256"},
      {{format_number(run.final.accuracy), format_number(run.final.nll), format_number(run.epsilon),
        format_number(run.clients_per_second), format_number(run.peak_rss_mb), run.model_sha256}}});
  if (run.personal) {
    section.blocks.push_back(
        ReportTable{"The clients' own models, on their own examples",
                    {"accuracy", "NLL"},
                    {{format_number(run.personal->accuracy), format_number(run.personal->nll)}}});
  }
  append_curves(section, {{curves_of(name, run)}});
  return section;
}

std::optional<double> number_in(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The accuracy at the end over the values of one setting, a curve for each combination of the
// others; runs that differ in their seed alone are one point, their mean.
std::optional<ReportChart> chart_over(std::size_t setting, std::span<const Variant> variants,
                                      std::span<const RunResult> runs) {
  struct Mean {
    double sum = 0;
    std::size_t count = 0;
  };
  std::map<std::string, std::map<double, Mean>> curves;
  std::string key;
  for (std::size_t i = 0; i < variants.size(); ++i) {
    std::string others;
    double at = 0;
    for (std::size_t s = 0; s < variants[i].settings.size(); ++s) {
      const std::string& text = variants[i].settings[s];
      const std::size_t equals = text.find('=');
      const std::string name = text.substr(0, equals);
      if (s == setting) {
        const auto value = number_in(std::string_view(text).substr(equals + 1));
        if (!value || name == "seed") return std::nullopt;
        at = *value;
        key = name;
      } else if (name != "seed") {
        others += (others.empty() ? "" : ", ") + text;
      }
    }
    Mean& mean = curves[others.empty() ? "accuracy" : others][at];
    mean.sum += runs[i].final.accuracy;
    ++mean.count;
  }
  ReportChart chart{concat("Accuracy by ", key), key, "accuracy", {}};
  for (const auto& [name, points] : curves) {
    if (points.size() < kPointsMin) return std::nullopt;
    ChartSeries& series = chart.series.emplace_back(ChartSeries{name, {}, {}});
    for (const auto& [x, mean] : points) {
      series.x.push_back(x);
      series.y.push_back(mean.sum / static_cast<double>(mean.count));
    }
  }
  return chart;
}

ReportSection comparison_of(std::span<const Variant> variants, std::span<const RunResult> runs) {
  ReportSection section{.heading = "Comparison", .text = {}, .blocks = {}};
  ReportTable table{"Runs", {"run", "accuracy", "NLL", "epsilon"}, {}};
  std::vector<Curves> curves;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    table.rows.push_back({variants[i].name, format_number(runs[i].final.accuracy),
                          format_number(runs[i].final.nll), format_number(runs[i].epsilon)});
    curves.push_back(curves_of(variants[i].name, runs[i]));
  }
  section.blocks.emplace_back(std::move(table));
  for (std::size_t s = 0; s < variants.front().settings.size(); ++s)
    if (auto chart = chart_over(s, variants, runs)) append_chart(section, *std::move(chart));
  append_curves(section, curves);
  return section;
}

}  // namespace

Report make_simulation_report(const std::string& experiment, std::span<const Variant> variants,
                              std::span<const RunResult> runs) {
  Report report{.title = "Simulation " + experiment, .text = {}, .sections = {}};
  if (runs.size() > 1) report.sections.push_back(comparison_of(variants, runs));
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::string& name = variants[i].name;
    report.sections.push_back(section_of(name.empty() ? "Run" : name, runs[i]));
  }
  return report;
}

}  // namespace inkling::tools
