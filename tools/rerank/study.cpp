#include "tools/rerank/study.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "rerank/list_value.h"
#include "rerank/planned_scorer.h"
#include "tools/console.h"
#include "tools/measure.h"
#include "tools/rerank/training.h"

namespace inkling::tools {

namespace {

constexpr double kInnerShare = 0.25;       // of a person's training slates, for Split::kInner
constexpr std::size_t kNewcomerEvery = 5;  // in pages, every fifth person is new in Split::kInner
constexpr std::size_t kActivityGroups = 3;
constexpr std::size_t kReliabilityBins = 10;

bool are_choices(const ChoiceData& data) {
  for (const Person& person : data.people)
    for (const auto* slates : {&person.train, &person.test})
      for (const Slate& slate : *slates)
        if (slate.chosen.size() != 1) return false;
  return true;
}

// The training part alone, split again: its last quarter in time and, where most people of the test
// part are new (pages), also everything of every fifth person.
std::vector<Person> inner_split(const std::vector<Person>& people, bool choices) {
  std::vector<Person> inner;
  for (std::size_t i = 0; i < people.size(); ++i) {
    const auto& all = people[i].train;
    const bool newcomer = !choices && i % kNewcomerEvery == 0;
    const auto held = static_cast<std::size_t>(kInnerShare * static_cast<double>(all.size()));
    const auto cut = all.end() - static_cast<std::ptrdiff_t>(newcomer ? all.size() : held);
    inner.push_back(
        {.user = people[i].user, .train = {all.begin(), cut}, .test = {cut, all.end()}});
  }
  return inner;
}

struct Prepared {
  HistoryLayout layout;
  std::vector<std::vector<Example>> train{}, test{};  // of each person, those that tell an order
};

// Without a history the rows keep their base columns only.
void drop_history(Example& example, std::size_t base, std::size_t width) {
  std::vector<float> kept;
  for (std::size_t i = 0; i < example.slate.alternatives; ++i) {
    const auto row = example.slate.features.begin() + static_cast<std::ptrdiff_t>(i * width);
    kept.insert(kept.end(), row, row + static_cast<std::ptrdiff_t>(base));
  }
  example.slate.features = std::move(kept);
}

Result<Prepared> prepare(const ChoiceData& data, const StudyOptions& options,
                         StudyTraining& training) {
  const std::vector<Person> people =
      options.split == Split::kInner ? inner_split(data.people, are_choices(data)) : data.people;
  INK_TRY(const HistoryLayout layout, training.layout(data.schema, people));
  Prepared prepared{.layout = layout};
  for (const Person& person : people) {
    History history(layout);
    INK_TRY(auto train, replay(history, person.train, options.past_rows));
    INK_TRY(auto test, replay(history, person.test, options.past_rows));
    for (auto* part : {&train, &test}) {
      std::erase_if(*part, [](const Example& e) { return !tells_an_order(e.slate); });
      if (options.history) continue;
      for (Example& e : *part) drop_history(e, layout.base().width(), layout.schema().width());
    }
    prepared.train.push_back(std::move(train));
    prepared.test.push_back(std::move(test));
  }
  return prepared;
}

// What a model makes of one slate.
struct Scored {
  ScoredSlate slate;
  EncodedSlate representation;  // the head's input; no features when there is no patch to fit
};

ScoredSlate labelled(const Example& e, std::vector<float> scores) {
  ScoredSlate scored{.user = e.user, .scores = std::move(scores)};
  scored.relevant.assign(e.slate.alternatives, 0);
  for (const std::size_t i : e.slate.chosen) scored.relevant[i] = 1;
  return scored;
}

Result<Scored> score(PlannedScorer& scorer, const Example& e) {
  INK_TRY(PlannedScorer::Planned * planned, scorer.slate(e.slate.alternatives));
  std::copy(e.slate.features.begin(), e.slate.features.end(),
            planned->features.span<float>().begin());
  if (scorer.past_rows() > 0) INK_CHECK_OK(fill_past(e.past, planned->past, planned->present));
  planned->run();
  const auto scores = planned->scores.span<float>();
  Scored scored{.slate = labelled(e, {scores.begin(), scores.end()}),
                .representation = {.request = e.slate.request,
                                   .alternatives = e.slate.alternatives,
                                   .chosen = e.slate.chosen}};
  const auto representation = planned->representation.span<float>();
  scored.representation.features.assign(representation.begin(), representation.end());
  return scored;
}

ScoredSlate with_head(const Scored& scored, std::span<const float> head,
                      std::span<const float> delta) {
  ScoredSlate moved = scored.slate;
  for (std::size_t i = 0; i < moved.scores.size(); ++i) {
    double total = 0;
    for (std::size_t j = 0; j < head.size(); ++j)
      total += static_cast<double>(scored.representation.features[i * head.size() + j]) *
               static_cast<double>(head[j] + delta[j]);
    moved.scores[i] = static_cast<float>(total);
  }
  return moved;
}

double mean_nll(std::span<const ScoredSlate> slates) {
  const auto values = evaluate(Metric::kNll, slates);
  double total = 0, weight = 0;
  if (values)
    for (const SlateValue& v : *values) {
      total += v.weight * v.value;
      weight += v.weight;
    }
  return weight > 0 ? total / weight : 0;
}

// One person's test slates by both models.
struct Outcome {
  std::size_t train_slates = 0;
  bool patched = false;
  std::vector<ScoredSlate> global{}, personal{};
  std::vector<ScoredSlate> list{};                  // with options.list_fatigue: places as scores
  std::vector<double> held_back_nll{};              // by pull; empty with too few slates
  std::vector<std::vector<ScoredSlate>> by_pull{};  // the test slates under each pull
};

// The whole slate as the list that a beam search finds; items are alike by their own columns.
Result<ScoredSlate> searched(const ScoredSlate& scored, const Example& e, const Scaling& base,
                             double fatigue) {
  const std::size_t width = base.mean.size(),
                    columns = e.slate.features.size() / scored.scores.size();
  std::vector<float> own;
  for (std::size_t i = 0; i < scored.scores.size(); ++i)
    for (std::size_t c = 0; c < width; ++c)
      own.push_back((e.slate.features[i * columns + c] - base.mean[c]) / base.deviation[c]);
  INK_TRY(ListValue value,
          ListValue::create(scored.scores, {}, {own, width}, {.fatigue = fatigue}));
  INK_TRY(const BeamResult found,
          beam_search(value, scored.scores.size(), {.places = scored.scores.size()}));
  ScoredSlate moved = scored;
  for (std::size_t place = 0; place < found.list.size(); ++place)
    moved.scores[found.list[place]] = -static_cast<float>(place);
  return moved;
}

Result<Outcome> serve_person(PlannedScorer& scorer, std::span<const Example> train_examples,
                             std::span<const Example> test_examples, const Scaling& base,
                             const StudyOptions& options) {
  Outcome outcome{.train_slates = train_examples.size()};
  std::vector<Scored> test;
  for (const Example& e : test_examples) {
    INK_TRY(test.emplace_back(), score(scorer, e));
    outcome.global.push_back(test.back().slate);
  }
  outcome.personal = outcome.global;
  std::vector<EncodedSlate> own;
  for (const Example& e : train_examples) {
    INK_TRY(Scored scored, score(scorer, e));
    own.push_back(std::move(scored.representation));
  }
  const auto head = scorer.global();
  INK_TRY(const PatchChoice choice, choose_patch(own, head, options.patch));
  const auto apply = [&](std::span<const float> delta) {
    std::vector<ScoredSlate> moved;
    for (const Scored& s : test) moved.push_back(with_head(s, head, delta));
    return moved;
  };
  if (choice.delta) {
    outcome.patched = true;
    outcome.personal = apply(*choice.delta);
  }
  for (std::size_t i = 0; options.list_fatigue > 0 && i < test.size(); ++i) {
    INK_TRY(outcome.list.emplace_back(),
            searched(outcome.personal[i], test_examples[i], base, options.list_fatigue));
  }
  if (choice.held_back_nll.empty() || options.curve.empty()) return outcome;
  PatchChoiceSpec curve = options.patch;
  curve.pulls = options.curve;
  INK_TRY(PatchChoice along, choose_patch(own, head, curve));
  outcome.held_back_nll = std::move(along.held_back_nll);
  for (const double pull : options.curve) {
    INK_TRY(const auto delta, fit_head_delta(own, head, pull));
    outcome.by_pull.push_back(apply(delta));
  }
  return outcome;
}

// The server's order: places as scores. It predicts no probability.
std::vector<Outcome> serve_server(const Prepared& prepared) {
  std::vector<Outcome> outcomes;
  for (std::size_t person = 0; person < prepared.test.size(); ++person) {
    Outcome outcome{.train_slates = prepared.train[person].size()};
    for (const Example& e : prepared.test[person]) {
      std::vector<float> scores;
      for (std::size_t i = 0; i < e.slate.alternatives; ++i)
        scores.push_back(-static_cast<float>(i));
      outcome.global.push_back(labelled(e, std::move(scores)));
    }
    outcome.personal = outcome.global;
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

Result<Quality> measure(std::span<const ScoredSlate> slates, bool choices, bool probabilities,
                        std::uint64_t seed) {
  const auto interval = [&](Metric metric, Weighting weighting) -> Result<Interval> {
    INK_TRY(const auto values, evaluate(metric, slates, {.weighting = weighting}));
    Rng rng(seed, "bootstrap");
    return bootstrap_mean(values, rng);
  };
  Quality q;
  INK_TRY(q.ndcg, interval(Metric::kNdcg, Weighting::kPerSlate));
  INK_TRY(q.mrr, interval(Metric::kMrr, Weighting::kPerSlate));
  if (choices) {
    INK_TRY(q.top1, interval(Metric::kTop1, Weighting::kPerSlate));
  } else {
    INK_TRY(q.gauc, interval(Metric::kAuc, Weighting::kPerItem));
  }
  if (probabilities) {
    INK_TRY(q.nll, interval(Metric::kNll, Weighting::kPerSlate));
  }
  return q;
}

std::vector<ActivityGroup> group_by_activity(std::vector<const Outcome*> outcomes) {
  std::stable_sort(outcomes.begin(), outcomes.end(), [](const Outcome* a, const Outcome* b) {
    return a->train_slates < b->train_slates;
  });
  std::vector<ActivityGroup> groups;
  for (std::size_t k = 0; k < kActivityGroups; ++k) {
    const std::size_t begin = k * outcomes.size() / kActivityGroups,
                      end = (k + 1) * outcomes.size() / kActivityGroups;
    if (begin == end) continue;
    ActivityGroup group{.slates_min = outcomes[begin]->train_slates,
                        .slates_max = outcomes[end - 1]->train_slates,
                        .people = end - begin};
    for (std::size_t i = begin; i < end; ++i) {
      const Outcome& o = *outcomes[i];
      const double gain = mean_nll(o.global) - mean_nll(o.personal);
      group.patched += o.patched;
      group.better += gain > 0;
      group.worse += gain < 0;
      group.nll_gain += gain / static_cast<double>(group.people);
    }
    groups.push_back(group);
  }
  return groups;
}

std::vector<PullPoint> pull_curve(std::span<const Outcome> outcomes,
                                  std::span<const double> pulls) {
  std::vector<PullPoint> curve;
  for (std::size_t p = 0; p < pulls.size(); ++p) {
    PullPoint point{.pull = pulls[p]};
    std::vector<ScoredSlate> test;
    double people = 0;
    for (const Outcome& o : outcomes) {
      if (o.by_pull.empty()) continue;
      point.held_back_nll += o.held_back_nll[p];
      people += 1;
      test.insert(test.end(), o.by_pull[p].begin(), o.by_pull[p].end());
    }
    if (test.empty()) return {};
    point.held_back_nll /= people;
    point.test_nll = mean_nll(test);
    curve.push_back(point);
  }
  return curve;
}

// Candidates by the probability that the personal model gave them, in bins of equal counts. In a
// page with several relevant items the probabilities share them, so they are counted by share.
std::vector<ReliabilityBin> reliability(std::span<const ScoredSlate> slates) {
  std::vector<std::pair<double, double>> pairs;
  for (const ScoredSlate& s : slates) {
    const float highest = *std::max_element(s.scores.begin(), s.scores.end());
    double total = 0, relevant = 0;
    for (std::size_t i = 0; i < s.scores.size(); ++i) {
      total += std::exp(static_cast<double>(s.scores[i] - highest));
      relevant += s.relevant[i];
    }
    for (std::size_t i = 0; i < s.scores.size(); ++i)
      pairs.emplace_back(std::exp(static_cast<double>(s.scores[i] - highest)) / total,
                         s.relevant[i] / relevant);
  }
  std::sort(pairs.begin(), pairs.end());
  std::vector<ReliabilityBin> bins;
  for (std::size_t k = 0; k < kReliabilityBins; ++k) {
    const std::size_t begin = k * pairs.size() / kReliabilityBins,
                      end = (k + 1) * pairs.size() / kReliabilityBins;
    if (begin == end) continue;
    ReliabilityBin bin{.count = end - begin};
    for (std::size_t i = begin; i < end; ++i) {
      bin.predicted += pairs[i].first / static_cast<double>(bin.count);
      bin.observed += pairs[i].second / static_cast<double>(bin.count);
    }
    bins.push_back(bin);
  }
  return bins;
}

Result<void> summarise(std::span<const Outcome> outcomes, const StudyOptions& options,
                       StudyResult& result) {
  const bool probabilities = options.model != ModelKind::kServer;
  std::vector<ScoredSlate> global, personal, list;
  std::vector<const Outcome*> measured;
  for (const Outcome& o : outcomes) {
    global.insert(global.end(), o.global.begin(), o.global.end());
    personal.insert(personal.end(), o.personal.begin(), o.personal.end());
    list.insert(list.end(), o.list.begin(), o.list.end());
    if (!o.global.empty()) measured.push_back(&o);
    result.patched += o.patched;
  }
  result.test_slates = global.size();
  INK_TRY(result.global, measure(global, result.choices, probabilities, options.seed));
  INK_TRY(result.personal, measure(personal, result.choices, probabilities, options.seed));
  if (!probabilities) return {};
  if (options.list_fatigue > 0) {
    INK_TRY(result.list, measure(list, result.choices, false, options.seed));
    INK_TRY(const auto searched_ndcg, evaluate(Metric::kNdcg, list));
    INK_TRY(const auto plain_ndcg, evaluate(Metric::kNdcg, personal));
    Rng rng(options.seed, "bootstrap");
    INK_TRY(result.list_ndcg_gain, bootstrap_difference(searched_ndcg, plain_ndcg, rng));
  }
  INK_TRY(const auto before, evaluate(Metric::kNll, global));
  INK_TRY(const auto after, evaluate(Metric::kNll, personal));
  Rng rng(options.seed, "bootstrap");
  INK_TRY(result.nll_gain, bootstrap_difference(before, after, rng));
  result.activity = group_by_activity(measured);
  double worse = 0;
  for (const ActivityGroup& group : result.activity) worse += static_cast<double>(group.worse);
  result.worse_share = worse / static_cast<double>(measured.size());
  result.pulls = pull_curve(outcomes, options.curve);
  result.reliability = reliability(personal);
  return {};
}

}  // namespace

Result<StudyResult> run_study(const ChoiceData& data, const StudyOptions& options,
                              Console& console) {
  const auto start = steady_now();
  console.progress("replaying everyone's history");
  const Progress progress = [&](const std::string& line) { console.progress(line); };
  StudyTraining training(options, progress);
  INK_TRY(const Prepared prepared, prepare(data, options, training));
  StudyResult result{.people = prepared.train.size(), .choices = are_choices(data)};
  for (const auto& own : prepared.train) result.train_slates += own.size();
  if (result.train_slates == 0)
    return fail(ErrorCode::kInvalidArgument, "no training slate tells an order");
  const FeatureSchema schema = options.history ? prepared.layout.schema() : prepared.layout.base();
  result.columns = schema.width();
  if (options.model == ModelKind::kServer) {
    INK_CHECK_OK(summarise(serve_server(prepared), options, result));
    result.seconds = seconds_since(start);
    return result;
  }
  console.progress("training the model for everyone");
  const auto train_start = steady_now();
  INK_TRY(Model model, training.model(schema, data.schema.width(), prepared.train));
  result.train_seconds = seconds_since(train_start);
  if (options.federated) {
    INK_TRY(result.federated, training.record());
  }
  INK_TRY(PlannedScorer scorer, PlannedScorer::create(std::move(model), schema));
  result.model_digest = to_hex(scorer.identity());
  result.parameters = scorer.global().size();
  console.progress("serving everyone's slates");
  Scaling base = training.scaling();
  base.mean.resize(data.schema.width());
  base.deviation.resize(data.schema.width());
  std::vector<Outcome> outcomes;
  for (std::size_t person = 0; person < prepared.train.size(); ++person) {
    INK_TRY(outcomes.emplace_back(),
            serve_person(scorer, prepared.train[person], prepared.test[person], base, options));
  }
  INK_CHECK_OK(summarise(outcomes, options, result));
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace inkling::tools
