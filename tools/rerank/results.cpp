#include "tools/rerank/results.h"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tools/report.h"
#include "tools/version.h"

namespace inkling::tools {

namespace {

using Json = nlohmann::ordered_json;

struct NamedMetric {
  const char* name;
  const char* title;
  std::optional<Interval> Quality::*member;
};
constexpr std::array<NamedMetric, 5> kMetrics = {{{"top1", "top-1", &Quality::top1},
                                                  {"ndcg", "NDCG@10", &Quality::ndcg},
                                                  {"mrr", "MRR", &Quality::mrr},
                                                  {"nll", "negative log-likelihood", &Quality::nll},
                                                  {"gauc", "GAUC", &Quality::gauc}}};

Json quality_json(const Quality& quality) {
  Json json = Json::object();
  for (const NamedMetric& m : kMetrics) {
    const auto& interval = quality.*m.member;
    if (!interval) continue;
    json[m.name] = interval->mean;
    json[concat(m.name, "_interval")] = Json::array({interval->low, interval->high});
  }
  return json;
}

Json activity_json(const StudyResult& r) {
  Json groups = Json::array();
  for (const ActivityGroup& g : r.activity)
    groups.push_back({{"train_slates", Json::array({g.slates_min, g.slates_max})},
                      {"people", g.people},
                      {"patched", g.patched},
                      {"better", g.better},
                      {"worse", g.worse},
                      {"nll_gain", g.nll_gain}});
  return groups;
}

Json federated_json(const FederatedRecord& f) {
  return {{"rounds", f.sums.rounds},
          {"uploads", f.sums.uploads},
          {"clipped", f.sums.clipped},
          {"bytes_up", f.sums.bytes_up}};
}

std::string with_interval(const std::optional<Interval>& i) {
  if (!i) return "";
  return concat(format_number(i->mean), " (", format_number(i->low), " to ", format_number(i->high),
                ")");
}

ReportTable quality_table(const StudyResult& r) {
  ReportTable table{"Test slates, with 95 % bootstrap intervals over people",
                    {"measure", "the model for everyone", "with each person's patch"},
                    {}};
  if (r.list) table.columns.push_back("searched as a list");
  for (const NamedMetric& m : kMetrics) {
    if (!(r.global.*m.member)) continue;
    table.rows.push_back(
        {m.title, with_interval(r.global.*m.member), with_interval(r.personal.*m.member)});
    if (r.list) table.rows.back().push_back(with_interval((*r.list).*m.member));
  }
  return table;
}

ReportSection price_section(const StudyResult& r) {
  ReportTable table{
      "Budgets (delta 1e-4), with each person's patch, and 95 % intervals", {"epsilon"}, {}};
  ReportSection section{"The price of privacy",
                        "Noise in every sum of what people chose; the unit is a person. The "
                        "level lines are without noise.",
                        {}};
  for (const PricePoint& p : r.prices) table.rows.push_back({format_number(p.epsilon)});
  table.rows.push_back({"no noise"});
  for (const NamedMetric& m : kMetrics) {
    if (!(r.personal.*m.member)) continue;
    table.columns.push_back(m.title);
    ChartSeries priced{"with noise", {}, {}}, free{"without", {}, {}};
    for (std::size_t i = 0; i < r.prices.size(); ++i) {
      const auto& interval = r.prices[i].personal.*m.member;
      table.rows[i].push_back(with_interval(interval));
      priced.x.push_back(r.prices[i].epsilon);
      free.x.push_back(r.prices[i].epsilon);
      priced.y.push_back(interval->mean);
      free.y.push_back((r.personal.*m.member)->mean);
    }
    table.rows.back().push_back(with_interval(r.personal.*m.member));
    section.blocks.push_back(ReportChart{m.title, "epsilon", m.title, {priced, free}});
  }
  section.blocks.insert(section.blocks.begin(), table);
  return section;
}

std::string whole(std::size_t n) { return std::to_string(n); }

ReportSection patch_section(const StudyResult& r) {
  ReportTable table{"By how much people had to learn from",
                    {"training slates", "people", "patched", "better", "worse", "gain in nats"},
                    {}};
  for (const ActivityGroup& g : r.activity)
    table.rows.push_back({concat(g.slates_min, " to ", g.slates_max), whole(g.people),
                          whole(g.patched), whole(g.better), whole(g.worse),
                          format_number(g.nll_gain)});
  ReportSection section{"Patches", "", {table}};
  section.text =
      concat(r.patched, " of ", r.people, " people keep a patch; ",
             format_number(100 * r.worse_share), " % of those measured are worse off with theirs.");
  if (r.pulls.empty()) return section;
  ChartSeries held{"held-back training slates (choose the pull)", {}, {}},
      test{"test slates (shown only)", {}, {}};
  for (const PullPoint& p : r.pulls) {
    for (ChartSeries* series : {&held, &test}) series->x.push_back(std::log10(p.pull));
    held.y.push_back(p.held_back_nll);
    test.y.push_back(p.test_nll);
  }
  section.blocks.push_back(ReportChart{"The pull to the global weights, everyone patched",
                                       "log10 of the pull",
                                       "negative log-likelihood",
                                       {held, test}});
  return section;
}

ReportSection reliability_section(const StudyResult& r) {
  ChartSeries model{"personal model", {}, {}}, ideal{"predicted = observed", {}, {}};
  for (const ReliabilityBin& bin : r.reliability) {
    model.x.push_back(bin.predicted);
    model.y.push_back(bin.observed);
    ideal.x.push_back(bin.predicted);
    ideal.y.push_back(bin.predicted);
  }
  return {"Reliability",
          "Candidates in ten groups of equal size, by the probability that the model gave them.",
          {ReportChart{
              "How often what was predicted came true", "predicted", "observed", {model, ideal}}}};
}

}  // namespace

std::string study_json(const StudyResult& r, const StudyLabels& labels) {
  Json json = {{"schema_version", 1},
               {"inkling", version_text()},
               {"data", labels.data},
               {"model", labels.model},
               {"split", labels.split},
               {"seed", labels.seed},
               {"people", r.people},
               {"train_slates", r.train_slates},
               {"test_slates", r.test_slates},
               {"columns", r.columns},
               {"head_parameters", r.parameters},
               {"global", quality_json(r.global)},
               {"personal", quality_json(r.personal)}};
  if (r.list) {
    json["list"] = quality_json(*r.list);
    json["list_ndcg_gain"] = r.list_ndcg_gain->mean;
    json["list_ndcg_gain_interval"] = Json::array({r.list_ndcg_gain->low, r.list_ndcg_gain->high});
  }
  if (r.nll_gain) {
    json["nll_gain"] = r.nll_gain->mean;
    json["nll_gain_interval"] = Json::array({r.nll_gain->low, r.nll_gain->high});
    json["patched"] = r.patched;
    json["worse_share"] = r.worse_share;
    json["activity"] = activity_json(r);
    Json pulls = Json::array();
    for (const PullPoint& p : r.pulls)
      pulls.push_back(
          {{"pull", p.pull}, {"held_back_nll", p.held_back_nll}, {"test_nll", p.test_nll}});
    json["pulls"] = std::move(pulls);
  }
  if (!r.model_digest.empty()) json["model_digest"] = r.model_digest;
  if (r.federated) json["federated"] = federated_json(*r.federated);
  for (const PricePoint& p : r.prices)
    json["privacy"].push_back({{"epsilon", p.epsilon},
                               {"global", quality_json(p.global)},
                               {"personal", quality_json(p.personal)}});
  json["timings"] = {{"train_seconds", r.train_seconds}, {"seconds", r.seconds}};
  return json.dump(2);
}

std::string study_text(const StudyResult& r, const StudyLabels& labels) {
  std::ostringstream out;
  out << labels.data << ", " << labels.model << ": " << r.people << " people, " << r.train_slates
      << " training and " << r.test_slates << " test slates, " << r.columns << " columns\n";
  for (const NamedMetric& m : kMetrics)
    if (r.global.*m.member)
      out << "  " << m.title << ": global " << with_interval(r.global.*m.member) << ", personal "
          << with_interval(r.personal.*m.member)
          << (r.list && (*r.list).*m.member ? concat(", list ", with_interval((*r.list).*m.member))
                                            : "")
          << "\n";
  if (r.list)
    out << "  the list's NDCG over the personal order's: " << with_interval(r.list_ndcg_gain)
        << "\n";
  if (r.nll_gain)
    out << "  " << r.patched
        << " people keep a patch; worse off: " << format_number(100 * r.worse_share) << " %\n";
  for (const PricePoint& p : r.prices) {
    out << "  epsilon " << format_number(p.epsilon) << ":";
    for (const NamedMetric& m : kMetrics)
      if (p.personal.*m.member)
        out << " " << m.title << " " << format_number((p.personal.*m.member)->mean);
    out << "\n";
  }
  return out.str();
}

Result<void> write_study_report(const StudyResult& r, const StudyLabels& labels, const Path& file) {
  Report report{
      concat("Reranking ", labels.data, " with ", labels.model),
      concat(version_text(), ", split ", labels.split, ", seed ", labels.seed, ": ", r.people,
             " people, ", r.train_slates, " training slates, ", r.test_slates, " test slates."),
      {{"Quality", "", {quality_table(r)}}}};
  if (r.nll_gain) {
    report.sections.push_back(patch_section(r));
    report.sections.push_back(reliability_section(r));
  }
  if (!r.prices.empty()) report.sections.push_back(price_section(r));
  INK_TRY(const std::string html, render_report(report));
  return write_file(file, as_bytes(html));
}

}  // namespace inkling::tools
