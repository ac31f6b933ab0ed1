// How long a device waits: reranking through the C interface with each step of the ladder, the
// history's update, and a cold start on a full log. Prints one line a measure; figures stand in
// docs/benchmarks.md. Times are this thread's CPU time, so that other load does not count; the cold
// start, which waits for the disk, is also shown by the wall clock.
//
// Usage: bench_rerank FOLDER [WHAT...], of: logit din edgerec lists history log cold; all by
// default

#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "embed/inkling.h"
#include "rerank/bundle.h"
#include "rerank/conditional_logit.h"
#include "rerank/list_value.h"
#include "rerank/planned_scorer.h"
#include "rerank/sequence_scorer.h"
#include "runtime/base/rng.h"
#include "storage/behavior_log.h"

namespace {

using namespace inkling;

constexpr std::size_t kCandidates = 100, kNumbers = 12, kPast = 50, kLogRows = 100'000;
constexpr int kRuns = 2000;

double cpu_us() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

void show(const char* what, std::vector<double> us) {
  std::sort(us.begin(), us.end());
  const auto at = [&](double q) { return us[static_cast<std::size_t>(q * double(us.size() - 1))]; };
  std::printf("%-40s p50 %8.1f us  p99 %8.1f us\n", what, at(0.5), at(0.99));
}

FeatureSchema base_schema() {
  std::vector<FeatureSpec> features = {
      {.name = "brand", .kind = FeatureKind::kCategory, .categories = {"a", "b", "c", "d", "e"}}};
  for (std::size_t i = 0; i < kNumbers; ++i) features.push_back({.name = concat("x", i)});
  return *FeatureSchema::create(1, features);
}

HistoryLayout layout() {
  const FeatureSchema base = base_schema();
  const std::size_t width = base.width();
  TastePrior prior{.mean = std::vector<double>(width, 0.0),
                   .covariance = std::vector<double>(width * width, 0.0)};
  for (std::size_t i = 0; i < width; ++i) prior.covariance[i * (width + 1)] = 0.5;
  return *HistoryLayout::create(base, {.taste = prior});
}

Model model_of(const char* kind, const FeatureSchema& schema) {
  const std::vector<float> ones(schema.width(), 1.0f), zeros(schema.width(), 0.0f);
  if (std::string_view(kind) == "logit") return *scaled_logit_model(schema, ones, ones);
  const auto sequence =
      std::string_view(kind) == "din" ? SequenceKind::kDin : SequenceKind::kEdgeRec;
  return *freeze_trunk(*sequence_scorer(schema, {.kind = sequence,
                                                 .base_width = base_schema().width(),
                                                 .mean = zeros,
                                                 .deviation = ones,
                                                 .linear = ones,
                                                 .past_rows = kPast}));
}

// Candidates with their features, kept alive behind the C structs.
struct Candidates {
  explicit Candidates(std::size_t count, Rng& rng) : features(count) {
    static const std::array<const char*, 5> brands = {"a", "b", "c", "d", "e"};
    static const std::array<const char*, kNumbers> names = {"x0", "x1", "x2", "x3", "x4",  "x5",
                                                            "x6", "x7", "x8", "x9", "x10", "x11"};
    for (std::size_t i = 0; i < count; ++i) {
      features[i].push_back({"brand", 0, brands[rng.below(brands.size())]});
      for (const char* name : names) features[i].push_back({name, rng.normal(), nullptr});
      list.push_back({sizeof(ink_candidate), rng.below(5000), rng.uniform(), 0, features[i].data(),
                      features[i].size(), 0, 0});
    }
  }
  std::vector<std::vector<ink_feature>> features;
  std::vector<ink_candidate> list;
};

[[noreturn]] void stop(const char* what) {
  std::fprintf(stderr, "bench_rerank: %s\n", what);
  std::exit(1);
}

ink_engine* open_engine(const std::string& folder) {
  ink_options options{};
  options.struct_size = sizeof options;
  options.folder = folder.c_str();
  options.rows_max = 2 * kLogRows;
  options.bytes_max = std::uint64_t{1} << 30;
  options.verify = [](void*, const void*, size_t, const void*, size_t) { return 1; };
  ink_engine* engine = nullptr;
  if (ink_open(&options, &engine) != INK_OK) stop("the engine does not open");
  return engine;
}

std::int64_t now_ms() { return SystemClock().unix_ms(); }

void log_request(ink_engine* engine, std::uint64_t request, std::size_t items, Rng& rng) {
  const Candidates shown(items, rng);
  if (ink_log_impressions(engine, request, shown.list.data(), items, nullptr, now_ms()) != INK_OK)
    stop(ink_last_error(engine));
  if (ink_log_event(engine, INK_CLICK, request, shown.list[rng.below(items)].item, 500, 0,
                    now_ms()) != INK_OK)
    stop(ink_last_error(engine));
}

// `list_places` above 0: the policy searches for the best list, and the candidates are of ten
// groups.
void bench_rerank(const std::string& folder, const char* kind, std::uint32_t list_places = 0) {
  std::filesystem::remove_all(folder);
  ink_engine* engine = open_engine(folder);
  const HistoryLayout own = layout();
  const Bytes bundle = *encode_bundle({1, own, model_of(kind, own.schema())});
  if (ink_update_model(engine, bundle.data(), bundle.size(), "", 0) != INK_OK)
    stop(ink_last_error(engine));
  Rng rng(1, "bench");
  for (std::uint64_t r = 1; r <= kPast; ++r) log_request(engine, r, 10, rng);
  Candidates candidates(kCandidates, rng);
  for (ink_candidate& c : candidates.list) c.group = 1 + rng.below(10);
  ink_policy policy{};
  policy.struct_size = sizeof policy;
  policy.list_places = list_places;
  if (ink_set_policy(engine, &policy) != INK_OK) stop(ink_last_error(engine));
  std::vector<std::uint32_t> order(kCandidates);
  std::vector<double> us;
  for (int run = 0; run < kRuns; ++run) {
    const double start = cpu_us();
    if (ink_rerank(engine, candidates.list.data(), kCandidates, 0, order.data(), nullptr) != INK_OK)
      stop(ink_last_error(engine));
    if (run > 0) us.push_back(cpu_us() - start);  // the first one plans
  }
  show(concat("rerank 100 candidates, ", kind, list_places > 0 ? ", list search" : "").c_str(), us);
  ink_close(engine);
}

void bench_scorer(const char* kind) {
  const HistoryLayout own = layout();
  auto scorer = *PlannedScorer::create(model_of(kind, own.schema()), own.schema());
  PlannedScorer::Planned* planned = *scorer.slate(kCandidates);
  std::vector<double> us;
  for (int run = 0; run < kRuns; ++run) {
    const double start = cpu_us();
    planned->run();
    us.push_back(cpu_us() - start);
  }
  show(concat("the model alone, ", kind).c_str(), us);
}

// Ten places of 100 items of five groups, scores drawn from a normal with deviation 1.5: what the
// search finds against the greedy list, by the list's own value, and what it costs.
void bench_list_search(std::size_t width, double reach) {
  Rng rng(2, "lists");
  std::vector<double> us;
  int better = 0;
  double found_sum = 0, greedy_sum = 0;
  constexpr int kLists = 200;
  for (int run = 0; run < kLists; ++run) {
    std::vector<float> scores(kCandidates);
    std::vector<std::uint64_t> groups(kCandidates);
    for (float& s : scores) s = static_cast<float>(1.5 * rng.normal());
    for (std::uint64_t& g : groups) g = 1 + rng.below(5);
    auto value = *ListValue::create(scores, groups, {}, {});
    const double greedy = beam_search(value, kCandidates, {.width_max = 1})->value;
    const double start = cpu_us();
    const auto found = *beam_search(value, kCandidates, {.width_max = width, .reach = reach});
    us.push_back(cpu_us() - start);
    better += found.value > greedy;
    found_sum += found.value;
    greedy_sum += greedy;
  }
  show(concat("list search, width up to ", width).c_str(), us);
  std::printf("    better than greedy in %d of %d lists, by %.2f %% on average\n", better, kLists,
              100 * (found_sum / greedy_sum - 1));
}

void bench_history() {
  History history(layout());
  Rng rng(2, "bench");
  const std::size_t width = history.layout().base().width(), items = 5;
  std::vector<double> us;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<ItemId> ids(items);
    std::vector<float> rows(items * width);
    for (ItemId& id : ids) id = rng.below(5000);
    for (float& v : rows) v = static_cast<float>(rng.normal());
    const std::vector<std::size_t> chosen = {rng.below(items)};
    const double start = cpu_us();
    if (!history.observe(ids, rows, chosen)) stop("observe");
    us.push_back((cpu_us() - start) / static_cast<double>(items + 1));
  }
  show("history, an event (5 shown, 1 chosen)", us);
}

void bench_cold_start(const std::string& folder) {
  std::filesystem::remove_all(folder);
  ink_engine* engine = open_engine(folder);
  const HistoryLayout own = layout();
  const Bytes bundle = *encode_bundle({1, own, model_of("edgerec", own.schema())});
  if (ink_update_model(engine, bundle.data(), bundle.size(), "", 0) != INK_OK)
    stop(ink_last_error(engine));
  Rng rng(3, "bench");
  for (std::uint64_t r = 1; r * 101 <= kLogRows; ++r) log_request(engine, r, 100, rng);
  ink_close(engine);
  const Candidates candidates(kCandidates, rng);
  std::vector<std::uint32_t> order(kCandidates);
  std::vector<double> wall, cpu;
  for (int run = 0; run < 20; ++run) {
    const double cpu_start = cpu_us();
    const auto start = std::chrono::steady_clock::now();
    engine = open_engine(folder);
    ink_rerank(engine, candidates.list.data(), kCandidates, 0, order.data(), nullptr);
    wall.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
            .count());
    cpu.push_back(cpu_us() - cpu_start);
    ink_close(engine);
  }
  show("cold start, 100,000 rows, wall", wall);
  show("cold start, 100,000 rows, CPU", cpu);
}

void bench_appends(const std::string& folder, bool survives_power_loss) {
  std::filesystem::remove_all(folder);
  const SystemClock clock;
  auto log = BehaviorLog::open(Path(folder) / "log.sqlite",
                               {.survives_power_loss = survives_power_loss}, clock);
  if (!log) stop("the log does not open");
  const std::vector<Event> batch(10, {.time_ms = now_ms(), .request = 1, .features = {}});
  const int batches = survives_power_loss ? 300 : 6000;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < batches; ++i)
    if (!log->append(batch)) stop("append");
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%-40s %10.0f rows/s, wall\n",
              survives_power_loss ? "appends of 10, each synced" : "appends of 10, kill-proof",
              batches * 10 / seconds);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) stop("expected a folder to work in");
  const std::string folder = std::string(argv[1]) + "/bench_rerank";
  const auto wanted = [&](std::string_view what) {
    return argc == 2 || std::find(argv + 2, argv + argc, what) != argv + argc;
  };
  for (const char* kind : {"logit", "din", "edgerec"}) {
    if (!wanted(kind)) continue;
    bench_rerank(folder, kind);
    bench_rerank(folder, kind, 10);
    bench_scorer(kind);
  }
  if (wanted("lists")) {
    bench_list_search(8, 0.5);  // the defaults
    bench_list_search(300, 1);
  }
  if (wanted("history")) bench_history();
  if (wanted("log")) {
    bench_appends(folder, false);
    bench_appends(folder, true);
  }
  if (wanted("cold")) bench_cold_start(folder);
  std::filesystem::remove_all(folder);
}
