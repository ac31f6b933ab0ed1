#include "embed/engine.h"

#include <algorithm>
#include <array>

#include "rerank/learn/training_data.h"
#include "rerank/row_translation.h"

namespace inkling {

namespace {

constexpr std::string_view kSnapshot = "rerank/history";
constexpr std::string_view kTrial = "rerank/trial";  // u64: the version
// And the fingerprint of a schema that rows were logged under: the bytes of its base.
constexpr std::string_view kSchemas = "rerank/schema/";

constexpr std::array kChoiceKinds = {EventKind::kClick, EventKind::kBuy};

bool is_choice(EventKind kind) {
  return std::find(kChoiceKinds.begin(), kChoiceKinds.end(), kind) != kChoiceKinds.end();
}

// The base columns of rows of the whole schema.
std::vector<float> base_rows(std::span<const float> rows, const HistoryLayout& layout) {
  const std::size_t base = layout.base().width(), width = layout.schema().width();
  std::vector<float> out;
  for (std::size_t at = 0; at + width <= rows.size(); at += width)
    out.insert(out.end(), rows.begin() + static_cast<std::ptrdiff_t>(at),
               rows.begin() + static_cast<std::ptrdiff_t>(at + base));
  return out;
}

std::string schema_key(std::uint64_t fingerprint) {
  ByteWriter out;
  out.u64(fingerprint);
  return concat(kSchemas, to_hex(out.bytes()));
}

// Reads logged rows under the base schema that is in use now.
class LoggedRows {
 public:
  LoggedRows(KeyValue& store, const FeatureSchema& base) : store_(&store), base_(base) {}

  // Nothing for rows of a schema that is not known, or says nothing under this one.
  std::optional<std::vector<float>> base_row(const Event& event) {
    const auto [at, is_new] = known_.try_emplace(event.schema);
    if (is_new) at->second = find(event.schema);
    const auto& translation = at->second;
    if (!translation || event.features.size() < translation->from_width()) return std::nullopt;
    return (*translation)(event.features);
  }

 private:
  std::optional<RowTranslation> find(std::uint64_t fingerprint) {
    const auto bytes = store_->get(schema_key(fingerprint));
    if (!bytes) return std::nullopt;
    const auto from = FeatureSchema::parse(*bytes);
    if (!from) return std::nullopt;
    auto translation = RowTranslation::create(*from, base_);
    if (!translation) return std::nullopt;
    return *std::move(translation);
  }

  KeyValue* store_;
  FeatureSchema base_;
  std::unordered_map<std::uint64_t, std::optional<RowTranslation>> known_;
};

}  // namespace

void Engine::Pending::choose(ItemId item) {
  const auto found = std::find(items.begin(), items.end(), item);
  if (found == items.end()) return;
  const auto place = static_cast<std::size_t>(found - items.begin());
  if (std::find(chosen.begin(), chosen.end(), place) == chosen.end()) chosen.push_back(place);
}

Result<std::unique_ptr<Engine>> Engine::open(const EngineOptions& options, const Clock& clock) {
  INK_TRY(ModelStore models, ModelStore::open(options.folder / "models"));
  INK_TRY(BehaviorLog log,
          BehaviorLog::open(options.folder / "behavior.sqlite", options.log, clock));
  INK_TRY(KeyValue store, KeyValue::open(options.folder / "state.sqlite"));
  std::unique_ptr<Engine> engine(
      new Engine(options, clock, std::move(log), std::move(models), std::move(store)));
  INK_CHECK_OK(engine->withdraw_what_crashes());
  INK_CHECK_OK(engine->probation_.enter());
  INK_CHECK_OK(engine->load_model());
  INK_CHECK_OK(engine->probation_.leave(false));
  return engine;
}

// The patch first, because the model under it was there before; then the model, unless there is
// none to go back to.
Result<void> Engine::withdraw_what_crashes() {
  INK_CHECK_OK(probation_.load());
  if (!probation_.failed()) return {};
  if (inkling::load_patch(store_)) {
    INK_CHECK_OK(drop_patch(store_));
    return probation_.begin();
  }
  if (auto back = models_.rollback(); !back && back.error().code != ErrorCode::kFailedPrecondition)
    return tl::unexpected<Error>(back.error());
  return probation_.leave(true);
}

// Steps back through the versions until one loads; none is a cold start.
Result<void> Engine::load_model() {
  loaded_.reset();
  while (models_.current()) {
    auto bytes = models_.load();
    if (bytes) {
      auto bundle = decode_bundle(std::make_shared<const Bytes>(*std::move(bytes)));
      if (bundle) return use(*std::move(bundle));
    }
    if (auto back = models_.rollback(); !back) {
      if (back.error().code == ErrorCode::kFailedPrecondition) return {};
      return tl::unexpected<Error>(back.error());
    }
  }
  return {};
}

Result<void> Engine::use(Bundle bundle) {
  Reranker reranker(bundle.layout.schema(), *clock_, options_.plan);
  INK_CHECK_OK(reranker.set_model(bundle.model));
  INK_CHECK_OK(reranker.set_policy(policy_));
  History history(bundle.layout);
  loaded_.emplace(Loaded{std::move(bundle.layout), std::move(bundle.model), std::move(reranker),
                         std::move(history)});
  pending_ = {};
  INK_CHECK_OK(remember_schema());
  INK_CHECK_OK(load_patch());
  INK_TRY(const bool restored, restore_history());
  return restored ? Result<void>() : rebuild_history();
}

// A patch for another model, or a damaged one, is dropped: it will be learnt again.
Result<void> Engine::load_patch() {
  const auto patch = inkling::load_patch(store_);
  if (!patch && patch.error().code == ErrorCode::kNotFound) return {};
  if (patch && loaded_->reranker.set_patch(*patch)) return {};
  return drop_patch(store_);
}

// The snapshot counts only if nothing was logged since.
Result<bool> Engine::restore_history() {
  const auto bytes = store_.get(kSnapshot);
  if (!bytes) return false;
  ByteReader in(*bytes);
  const std::uint64_t last = in.u64();
  INK_TRY(const std::uint64_t logged, log_.last_id());
  if (!in.ok() || last != logged) return false;
  auto history = History::parse(loaded_->layout, in.raw(in.remaining()));
  if (!history) return false;
  loaded_->history = *std::move(history);
  return true;
}

Result<void> Engine::save_history() {
  if (!loaded_) return {};
  INK_CHECK_OK(close_request());
  INK_TRY(const std::uint64_t last, log_.last_id());
  ByteWriter out;
  out.u64(last);
  out.raw(loaded_->history.to_bytes());
  return store_.put(kSnapshot, out.bytes());
}

Result<void> Engine::remember_schema() {
  const HistoryLayout& layout = loaded_->layout;
  const std::string key = schema_key(layout.schema().fingerprint());
  const Bytes bytes = layout.base().to_bytes();
  const auto known = store_.get(key);
  return known && *known == bytes ? Result<void>() : store_.put(key, bytes);
}

// From the rows as they were logged, request by request, also under the layouts before this one.
Result<void> Engine::rebuild_history() {
  loaded_->history = History(loaded_->layout);
  pending_ = {};
  LoggedRows rows(store_, loaded_->layout.base());
  Result<void> failed;
  INK_CHECK_OK(log_.scan({}, [&](const Event& event) {
    if (!failed || (event.kind != EventKind::kImpression && !is_choice(event.kind))) return;
    if (event.kind != EventKind::kImpression) {
      if (event.request == pending_.request) pending_.choose(event.item);
      return;
    }
    const auto row = rows.base_row(event);
    if (!row) return;
    if (event.request != pending_.request) {
      failed = close_request();
      pending_ = {.request = event.request, .items = {}, .rows = {}, .chosen = {}};
    }
    pending_.items.push_back(event.item);
    pending_.rows.insert(pending_.rows.end(), row->begin(), row->end());
  }));
  return failed;
}

Result<void> Engine::close_request() {
  if (loaded_ && !pending_.items.empty())
    INK_CHECK_OK(loaded_->history.observe(pending_.items, pending_.rows, pending_.chosen));
  pending_ = {};
  return {};
}

Result<Ranking> Engine::rerank(std::span<const Candidate> candidates, std::int64_t deadline_ms) {
  INK_CHECK_OK(close_request());
  if (loaded_) {
    // A count that cannot be written keeps nobody from their feed.
    static_cast<void>(probation_.enter());
    auto ranked = loaded_->reranker.rerank(
        candidates, {.deadline_ms = deadline_ms, .history = &loaded_->history});
    static_cast<void>(probation_.leave(ranked && !ranked->order.empty() &&
                                       ranked->by != RankedBy::kServerDeadline));
    return ranked;
  }
  Ranking ranking{.by = RankedBy::kServerNoModel};
  for (std::uint32_t i = 0; i < candidates.size(); ++i) ranking.order.push_back(i);
  return ranking;
}

Result<void> Engine::set_policy(const Policy& policy) {
  INK_CHECK_OK(check_policy(policy));
  policy_ = policy;
  return loaded_ ? loaded_->reranker.set_policy(policy) : Result<void>();
}

Result<std::vector<Reason>> Engine::why(std::span<const Candidate> candidates, std::size_t index,
                                        std::size_t count_max) {
  if (!loaded_) return fail(ErrorCode::kFailedPrecondition, "why: no model yet");
  return loaded_->reranker.why(candidates, {.history = &loaded_->history}, index, count_max);
}

Result<void> Engine::log_impressions(RequestId request, std::span<const Candidate> shown,
                                     std::span<const double> propensities, std::int64_t time_ms) {
  if (!propensities.empty() && propensities.size() != shown.size()) {
    return fail(ErrorCode::kInvalidArgument, "impressions: ", propensities.size(),
                " propensities for ", shown.size(), " items");
  }
  if (request == pending_.request && !pending_.items.empty())
    return fail(ErrorCode::kInvalidArgument, "impressions: request ", request,
                " is logged already");
  INK_CHECK_OK(close_request());
  std::vector<float> rows;
  std::size_t width = 0;
  if (loaded_) {
    INK_TRY(rows, loaded_->history.encode(shown));
    width = loaded_->layout.schema().width();
  }
  std::vector<Event> events;
  Pending next{.request = request, .items = {}, .rows = {}, .chosen = {}};
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const auto row = std::span(rows).subspan(i * width, width);
    events.push_back({.kind = EventKind::kImpression,
                      .time_ms = time_ms,
                      .request = request,
                      .item = shown[i].item,
                      .position = static_cast<std::uint32_t>(i),
                      .propensity = propensities.empty() ? 1 : propensities[i],
                      .server_score = shown[i].server_score,
                      .schema = loaded_ ? loaded_->layout.schema().fingerprint() : 0,
                      .features = {row.begin(), row.end()}});
    next.items.push_back(shown[i].item);
  }
  INK_CHECK_OK(log_.append(events));
  if (loaded_) {
    next.rows = base_rows(rows, loaded_->layout);
    pending_ = std::move(next);
  }
  return {};
}

Result<void> Engine::log_event(const Event& event) {
  INK_CHECK_OK(log_.append(std::span(&event, 1)));
  if (is_choice(event.kind) && event.request == pending_.request) pending_.choose(event.item);
  return {};
}

Result<void> Engine::review_model(Adaptation& result) {
  const auto trial = store_.get(kTrial);
  if (!trial) return {};
  ByteReader in(*trial);
  INK_TRY(const StoredModel used, models_.current());
  auto bytes = models_.load_previous();
  if (in.u64() != used.version || !bytes) return store_.erase(kTrial);
  const auto before = decode_bundle(std::make_shared<const Bytes>(*std::move(bytes)));
  const HistoryLayout& layout = loaded_->layout;
  if (!before || before->layout.base().fingerprint() != layout.base().fingerprint())
    return store_.erase(kTrial);
  const std::array schemas = {before->layout.schema().fingerprint(), layout.schema().fingerprint()};
  INK_TRY(const auto requests, read_requests(log_, schemas, layout.base().width(), kChoiceKinds));
  const std::size_t latest = options_.shadow.requests_max;
  INK_TRY(const auto old_nll, shadow_nll(before->layout, before->model, requests, latest));
  INK_TRY(const auto new_nll, shadow_nll(layout, loaded_->model, requests, latest));
  INK_TRY(result.shadow, shadow_score(old_nll, new_nll, options_.shadow));
  if (result.shadow.worse) {
    INK_CHECK_OK(rollback_model());
    result.rolled_back = true;
  } else if (result.shadow.requests < latest) {
    return {};
  }
  return store_.erase(kTrial);
}

Result<Adaptation> Engine::adapt() {
  if (!loaded_) return fail(ErrorCode::kFailedPrecondition, "adapt: no model yet");
  Adaptation result;
  INK_CHECK_OK(close_request());
  INK_CHECK_OK(review_model(result));
  if (!loaded_) return fail(ErrorCode::kFailedPrecondition, "adapt: no model yet");
  INK_CHECK_OK(save_history());
  const HistoryLayout& layout = loaded_->layout;
  INK_TRY(const TrainingData data, read_training_data(log_, layout.schema(), kChoiceKinds));
  INK_TRY(PlannedScorer scorer, PlannedScorer::create(loaded_->model, layout.schema()));
  std::vector<EncodedSlate> learnt_from;
  std::vector<float> past;
  for (const EncodedSlate& slate : data.slates) {
    INK_TRY(PlannedScorer::Planned * planned, scorer.slate(slate.alternatives));
    if (planned->representation.data == nullptr) {
      return fail(ErrorCode::kUnsupported,
                  "adapt: the model names no representation, so its last layer cannot be patched");
    }
    std::copy(slate.features.begin(), slate.features.end(),
              planned->features.span<float>().begin());
    if (scorer.past_rows() > 0) INK_CHECK_OK(fill_past(past, planned->past, planned->present));
    planned->run();
    const auto representation = planned->representation.span<float>();
    if (slate.chosen.size() < slate.alternatives) {
      learnt_from.push_back({.request = slate.request,
                             .alternatives = slate.alternatives,
                             .features = {representation.begin(), representation.end()},
                             .chosen = slate.chosen});
    }
    const auto base = base_rows(slate.features, layout);
    const std::size_t width = layout.base().width();
    for (const std::size_t i : slate.chosen)
      past.insert(past.end(), base.begin() + static_cast<std::ptrdiff_t>(i * width),
                  base.begin() + static_cast<std::ptrdiff_t>((i + 1) * width));
  }
  result.slates = learnt_from.size();
  INK_TRY(PatchChoice choice, choose_patch(learnt_from, scorer.global(), options_.patch));
  result.held_back_gain = choice.gain;
  if (!choice.delta) {
    INK_CHECK_OK(loaded_->reranker.clear_patch());
    INK_CHECK_OK(drop_patch(store_));
    return result;
  }
  const Patch patch{.base = scorer.identity(), .delta = *std::move(choice.delta)};
  INK_CHECK_OK(probation_.begin());
  INK_CHECK_OK(save_patch(store_, patch));
  INK_CHECK_OK(loaded_->reranker.set_patch(patch));
  result.patched = true;
  return result;
}

// What was learnt from erased rows goes with them.
Result<void> Engine::forget_learnt() {
  pending_ = {};
  INK_CHECK_OK(store_.erase(kSnapshot));
  INK_CHECK_OK(drop_patch(store_));
  if (!loaded_) return {};
  INK_CHECK_OK(loaded_->reranker.clear_patch());
  return rebuild_history();
}

Result<void> Engine::erase_all() {
  INK_CHECK_OK(log_.erase_all());
  return forget_learnt();
}

Result<void> Engine::erase_item(ItemId item) {
  INK_CHECK_OK(log_.forget_item(item));
  return forget_learnt();
}

Result<void> Engine::erase_range(TimeRange range) {
  INK_CHECK_OK(log_.forget(range));
  return forget_learnt();
}

Result<ScanReport> Engine::scan(const std::function<void(const Event&)>& visit) {
  return log_.scan({}, visit);
}

// The bundle must load before it is stored, so that what is current always works.
Result<void> Engine::update_model(ByteSpan bundle) {
  const auto bytes = std::make_shared<const Bytes>(bundle.begin(), bundle.end());
  INK_TRY(Bundle decoded, decode_bundle(bytes));
  INK_CHECK_OK(close_request());
  // Before the model, so that after a crash no new model is in use without its trial; a version
  // that is not in use is not tried.
  const auto before = models_.current();
  const bool is_new = !before || before->version != decoded.version;
  if (before && before->version < decoded.version) {
    ByteWriter trial;
    trial.u64(decoded.version);
    INK_CHECK_OK(store_.put(kTrial, trial.bytes()));
  }
  INK_CHECK_OK(models_.put(decoded.version, *bytes));
  if (is_new) INK_CHECK_OK(probation_.begin());
  INK_CHECK_OK(probation_.enter());
  INK_CHECK_OK(use(std::move(decoded)));
  return probation_.leave(false);
}

Result<void> Engine::rollback_model() {
  INK_CHECK_OK(close_request());
  INK_CHECK_OK(models_.rollback());
  return load_model();
}

}  // namespace inkling
