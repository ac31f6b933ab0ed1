#include "tools/report.h"

#include <gtest/gtest.h>

#include <cmath>

namespace inkling::tools {
namespace {

Report with(decltype(ReportSection::blocks)::value_type block) {
  return {.title = "T", .text = "", .sections = {{"S", "", {std::move(block)}}}};
}

ReportChart chart_of(std::vector<double> x, std::vector<double> y) {
  return {"loss", "step", "nats", {{"train", std::move(x), std::move(y)}}};
}

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

TEST(Report, EscapesEveryTextThatItIsGiven) {
  const std::string evil = "<script>&\"'";
  ReportChart chart = chart_of({0, 1}, {0, 1});
  chart.title = chart.x_label = chart.y_label = chart.series[0].name = evil;
  const Report report{.title = evil,
                      .text = evil,
                      .sections = {{evil, evil, {ReportTable{evil, {evil}, {{evil}}}, chart}}}};
  const auto html = render_report(report);
  ASSERT_TRUE(html) << html.error().message;
  EXPECT_EQ(html->find("<script"), std::string::npos);
  EXPECT_EQ(html->find("&\""), std::string::npos);
  EXPECT_GE(count(*html, "&lt;script&gt;&amp;&quot;&#39;"), 13u);
}

TEST(Report, FetchesNothing) {
  const auto html = render_report(with(chart_of({0, 1}, {0, 1})));
  ASSERT_TRUE(html);
  for (const char* word : {"http:", "https:", "src=", "href=", "url(", "@import"})
    EXPECT_EQ(html->find(word), std::string::npos) << word;
  EXPECT_NE(html->find("default-src 'none'"), std::string::npos);
  EXPECT_NE(html->find("prefers-color-scheme: dark"), std::string::npos);
}

TEST(Report, PlacesPointsAtTheCornersOfThePlot) {
  const auto html = render_report(with(chart_of({0, 10}, {-1, 1})));
  ASSERT_TRUE(html);
  EXPECT_NE(html->find("points='64.0,256.0 624.0,12.0'"), std::string::npos) << *html;
  EXPECT_NE(html->find(">-0.5</text>"), std::string::npos) << "a tick at a round number";
  EXPECT_NE(html->find("<td>train</td><td>10</td><td>1</td>"), std::string::npos);
}

TEST(Report, LeavesGapsAndDrawsLonePointsAsDots) {
  const double nan = std::nan("");
  const auto html =
      render_report(with(chart_of({0, 1, 2, 3, 4, 5}, {1, 2, nan, 3, nan, INFINITY})));
  ASSERT_TRUE(html);
  EXPECT_EQ(count(*html, "<polyline"), 1u);
  EXPECT_EQ(count(*html, "<circle"), 1u);
  EXPECT_EQ(html->find("points='nan"), std::string::npos);
}

TEST(Report, DrawsFlatEmptyAndHugeSeriesWithFinitePixels) {
  for (const auto& chart : {chart_of({}, {}), chart_of({5}, {5}), chart_of({0, 1}, {3, 3}),
                            chart_of({0, 1}, {1e300, -1e300}), chart_of({0, 1}, {1e-300, 0})}) {
    const auto html = render_report(with(chart));
    ASSERT_TRUE(html);
    const std::string svg = html->substr(html->find("<svg role"), html->find("</svg>"));
    for (const char* word : {"='nan", "='inf", "='-nan", "='-inf"})
      EXPECT_EQ(svg.find(word), std::string::npos) << word;
    EXPECT_LT(html->size(), 20000u) << "a bounded number of ticks";
  }
}

TEST(Report, NamesTheBlockWhoseLengthsDiffer) {
  const auto row = render_report(with(ReportTable{"scores", {"a", "b"}, {{"1"}}}));
  ASSERT_FALSE(row);
  EXPECT_EQ(row.error().message, "table \"scores\": row of 1 cells, expected 2");
  EXPECT_FALSE(render_report(with(chart_of({0, 1}, {0}))));
  ReportChart chart = chart_of({0}, {0});
  chart.series.resize(kChartSeriesMax, chart.series[0]);
  EXPECT_TRUE(render_report(with(chart)));
  chart.series.push_back(chart.series[0]);
  EXPECT_FALSE(render_report(with(chart)));
  chart.series.clear();
  EXPECT_EQ(render_report(with(chart)).error().code, ErrorCode::kInvalidArgument);
}

TEST(FormatNumber, KeepsFourDigits) {
  EXPECT_EQ(format_number(0.456789), "0.4568");
  EXPECT_EQ(format_number(-0.0), "0");
  EXPECT_EQ(format_number(1234567), "1.235e+06");
}

TEST(Report, HoldsItsPictures) {
  const auto html =
      render_report(with(ReportPictures{"Wrong", {{"a <boot>", {'P', 'N', 'G', '!'}}}}));
  ASSERT_TRUE(html) << html.error().message;
  EXPECT_NE(html->find("data:image/png;base64,UE5HIQ=="), std::string::npos);
  EXPECT_NE(html->find("a &lt;boot&gt;"), std::string::npos);
}

}  // namespace
}  // namespace inkling::tools
