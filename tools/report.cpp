#include "tools/report.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

namespace inkling::tools {
namespace {

constexpr double kWidth = 640, kHeight = 300;
constexpr double kLeft = 64, kRight = 16, kTop = 12, kBottom = 44;
constexpr int kTicksWanted = 5;

// The Okabe-Ito colours, which people with colour blindness can tell apart, and lighter ones for a
// dark page. Series differ by dash as well.
constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --fg: #1b1f24; --bg: #ffffff; --dim: #57606a; --line: #d0d7de;
  --s0: #0072b2; --s1: #d55e00; --s2: #007a57; --s3: #a8487f; --s4: #946200; --s5: #56606b; }
@media (prefers-color-scheme: dark) { :root { --fg: #e6edf3; --bg: #0d1117; --dim: #9aa4af;
  --line: #30363d; --s0: #56b4e9; --s1: #ff9b52; --s2: #2fcb98; --s3: #e39bc4; --s4: #f0c24b;
  --s5: #c3ccd5; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg);
  max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
caption, figcaption { text-align: left; font-weight: 600; padding: .25rem 0; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); }
figure { margin: 1rem 0; } svg { width: 100%; height: auto; }
svg text { fill: var(--dim); font: 12px system-ui, sans-serif; }
.grid { stroke: var(--line); } .line { fill: none; stroke-width: 2; }
.s0 { stroke: var(--s0); } .s1 { stroke: var(--s1); stroke-dasharray: 8 3; }
.s2 { stroke: var(--s2); stroke-dasharray: 2 3; } .s3 { stroke: var(--s3); stroke-dasharray: 8 3 2 3; }
.s4 { stroke: var(--s4); stroke-dasharray: 12 4; } .s5 { stroke: var(--s5); stroke-dasharray: 4 4; }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
.legend svg { width: 32px; height: 10px; margin-right: .4rem; }
.pictures { display: flex; flex-wrap: wrap; gap: .75rem; } .pictures figure { margin: 0; width: 7rem; }
.pictures img { width: 7rem; image-rendering: pixelated; } .pictures figcaption { font-weight: 400; font-size: .8rem; }
)";

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

// Where data values lie on one axis of the plot.
struct Axis {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  double step = 1;
  double from = 0, to = 1;  // pixels

  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  double pixel(double value) const { return from + (value - low) / (high - low) * (to - from); }
  double tick(int i) const { return low + step * i; }
  int ticks() const { return static_cast<int>(std::lround((high - low) / step)) + 1; }
};

// Widens the axis to whole steps of 1, 2 or 5 times a power of ten.
void round_outwards(Axis& axis) {
  if (!(axis.low <= axis.high)) axis.low = 0, axis.high = 1;  // no finite point
  if (axis.high - axis.low < 1e-12 * std::max(1.0, std::abs(axis.high))) {
    const double room = std::max(std::abs(axis.high), 1.0) / 2;
    axis.low -= room;
    axis.high += room;
  }
  const double wanted = (axis.high - axis.low) / kTicksWanted;
  const double power = std::pow(10.0, std::floor(std::log10(wanted)));
  const double fraction = wanted / power;
  axis.step = power * (fraction <= 1 ? 1 : fraction <= 2 ? 2 : fraction <= 5 ? 5 : 10);
  axis.low = std::floor(axis.low / axis.step) * axis.step;
  axis.high = std::ceil(axis.high / axis.step) * axis.step;
}

bool is_point(const ChartSeries& series, std::size_t i) {
  return std::isfinite(series.x[i]) && std::isfinite(series.y[i]);
}

std::pair<Axis, Axis> make_axes(const ReportChart& chart) {
  Axis x, y;
  for (const ChartSeries& series : chart.series) {
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      if (!is_point(series, i)) continue;
      x.include(series.x[i]);
      y.include(series.y[i]);
    }
  }
  round_outwards(x);
  round_outwards(y);
  x.from = kLeft, x.to = kWidth - kRight;
  y.from = kHeight - kBottom, y.to = kTop;
  return {x, y};
}

std::string pixels(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

std::string svg_text(double x, double y, const char* anchor, std::string_view text) {
  return concat("<text x='", pixels(x), "' y='", pixels(y), "' text-anchor='", anchor, "'>",
                escape(text), "</text>\n");
}

std::string draw_axes(const ReportChart& chart, const Axis& x, const Axis& y) {
  std::string out;
  for (int i = 0; i < y.ticks(); ++i) {
    const std::string at = pixels(y.pixel(y.tick(i)));
    out += concat("<line class='grid' x1='", kLeft, "' x2='", kWidth - kRight, "' y1='", at,
                  "' y2='", at, "'/>\n");
    out += svg_text(kLeft - 8, y.pixel(y.tick(i)) + 4, "end", format_number(y.tick(i)));
  }
  for (int i = 0; i < x.ticks(); ++i)
    out += svg_text(x.pixel(x.tick(i)), kHeight - kBottom + 18, "middle", format_number(x.tick(i)));
  out += svg_text((kLeft + kWidth - kRight) / 2, kHeight - 6, "middle", chart.x_label);
  const double middle = (kTop + kHeight - kBottom) / 2;
  return out + concat("<text transform='translate(14 ", pixels(middle),
                      ") rotate(-90)' text-anchor='middle'>", escape(chart.y_label), "</text>\n");
}

// A polyline for each run of points, and a dot for a point that stands alone.
std::string draw_series(const ChartSeries& series, std::size_t index, const Axis& x,
                        const Axis& y) {
  std::string out;
  for (std::size_t i = 0; i < series.x.size();) {
    std::size_t end = i;
    std::string points;
    for (; end < series.x.size() && is_point(series, end); ++end)
      points += concat(pixels(x.pixel(series.x[end])), ",", pixels(y.pixel(series.y[end])), " ");
    if (end == i + 1) {
      out += concat("<circle class='line s", index, "' cx='", pixels(x.pixel(series.x[i])),
                    "' cy='", pixels(y.pixel(series.y[i])), "' r='2'/>\n");
    } else if (end > i) {
      points.pop_back();
      out += concat("<polyline class='line s", index, "' points='", points, "'/>\n");
    }
    i = std::max(end, i + 1);
  }
  return out;
}

std::string table_rows(const std::vector<std::string>& columns,
                       const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<thead><tr>";
  for (const std::string& column : columns)
    out += concat("<th scope='col'>", escape(column), "</th>");
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : rows) {
    out += "<tr>";
    for (const std::string& cell : row) out += concat("<td>", escape(cell), "</td>");
    out += "</tr>\n";
  }
  return out + "</tbody>";
}

std::string chart_numbers(const ReportChart& chart) {
  std::vector<std::vector<std::string>> rows;
  for (const ChartSeries& series : chart.series) {
    for (std::size_t i = 0; i < series.x.size(); ++i)
      rows.push_back({series.name, format_number(series.x[i]), format_number(series.y[i])});
  }
  return concat("<details><summary>Numbers</summary><table>",
                table_rows({"series", chart.x_label, chart.y_label}, rows), "</table></details>\n");
}

Result<std::string> render(const ReportChart& chart) {
  if (chart.series.empty() || chart.series.size() > kChartSeriesMax) {
    return fail(ErrorCode::kInvalidArgument, "chart \"", chart.title, "\": ", chart.series.size(),
                " series, expected 1 to ", kChartSeriesMax);
  }
  for (const ChartSeries& series : chart.series) {
    if (series.x.size() != series.y.size()) {
      return fail(ErrorCode::kInvalidArgument, "chart \"", chart.title, "\": series \"",
                  series.name, "\" has ", series.x.size(), " x and ", series.y.size(), " y");
    }
  }
  const auto [x, y] = make_axes(chart);
  std::string lines, legend;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    lines += draw_series(chart.series[i], i, x, y);
    legend +=
        concat("<li><svg viewBox='0 0 32 10' aria-hidden='true'><line class='line s", i,
               "' x1='0' x2='32' y1='5' y2='5'/></svg>", escape(chart.series[i].name), "</li>\n");
  }
  return concat("<figure><figcaption>", escape(chart.title), "</figcaption>\n<svg role='img' ",
                "aria-label='",
                escape(concat(chart.title, ": ", chart.y_label, " over ", chart.x_label,
                              "; the numbers follow")),
                "' viewBox='0 0 ", kWidth, " ", kHeight, "'>\n", draw_axes(chart, x, y), lines,
                "</svg>\n<ul class='legend'>\n", legend, "</ul>\n", chart_numbers(chart),
                "</figure>\n");
}

Result<std::string> render(const ReportTable& table) {
  for (const auto& row : table.rows) {
    if (row.size() != table.columns.size()) {
      return fail(ErrorCode::kInvalidArgument, "table \"", table.title, "\": row of ", row.size(),
                  " cells, expected ", table.columns.size());
    }
  }
  return concat("<table><caption>", escape(table.title), "</caption>\n",
                table_rows(table.columns, table.rows), "</table>\n");
}

Result<std::string> render(const ReportPictures& pictures) {
  std::string out = concat("<h3>", escape(pictures.title), "</h3>\n<div class='pictures'>\n");
  for (const ReportPictures::Item& item : pictures.items) {
    std::string base64(4 * ((item.png.size() + 2) / 3) + 1, '\0');
    EVP_EncodeBlock(reinterpret_cast<unsigned char*>(base64.data()), item.png.data(),
                    static_cast<int>(item.png.size()));
    base64.pop_back();
    out += concat("<figure><img alt='", escape(item.caption), "' src='data:image/png;base64,",
                  base64, "'><figcaption>", escape(item.caption), "</figcaption></figure>\n");
  }
  return out + "</div>\n";
}

std::string paragraph(const std::string& text) {
  return text.empty() ? "" : concat("<p>", escape(text), "</p>\n");
}

}  // namespace

std::string format_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", value == 0 ? 0.0 : value);
  return text.data();
}

Result<std::string> render_report(const Report& report) {
  std::string body = concat("<h1>", escape(report.title), "</h1>\n", paragraph(report.text));
  for (const ReportSection& section : report.sections) {
    body += concat("<section>\n<h2>", escape(section.heading), "</h2>\n", paragraph(section.text));
    for (const auto& block : section.blocks) {
      INK_TRY(const std::string html,
              std::visit([](const auto& one) { return render(one); }, block));
      body += html;
    }
    body += "</section>\n";
  }
  return concat(
      "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n",
      "<meta name='viewport' content='width=device-width, initial-scale=1'>\n",
      "<meta http-equiv='Content-Security-Policy' ",
      "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n<title>",
      escape(report.title), "</title>\n<style>", kStyle, "</style>\n</head>\n<body>\n", body,
      "</body>\n</html>\n");
}

}  // namespace inkling::tools
