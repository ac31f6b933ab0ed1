#pragma once
// A report as one HTML file that needs nothing else: no script, no font, no network. Text is
// escaped, colours follow the reader's light or dark setting, and every chart is also there as
// numbers, so that it can be read aloud and copied. Pure: the same report gives the same bytes.

#include <string>
#include <variant>
#include <vector>

#include "runtime/base/bytes.h"

namespace inkling::tools {

struct ReportTable {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  // each as long as columns
};

// A line through (x[i], y[i]). A value that is not finite leaves a gap.
struct ChartSeries {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;
};

inline constexpr std::size_t kChartSeriesMax = 6;  // as many as stay distinguishable

struct ReportChart {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<ChartSeries> series;  // 1..kChartSeriesMax
};

// Small pictures in a grid, each with a line below it.
struct ReportPictures {
  struct Item {
    std::string caption;
    Bytes png;
  };
  std::string title;
  std::vector<Item> items;
};

struct ReportSection {
  std::string heading;
  std::string text;
  std::vector<std::variant<ReportTable, ReportChart, ReportPictures>> blocks;
};

struct Report {
  std::string title;
  std::string text;
  std::vector<ReportSection> sections;
};

// kInvalidArgument, naming the block: a row or series whose lengths differ, or a chart with too few
// or too many series.
Result<std::string> render_report(const Report& report);

// Four significant digits, e.g. "0.4567" and "1.2e+06".
std::string format_number(double value);

}  // namespace inkling::tools
