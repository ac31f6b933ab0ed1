#include "embed/inkling.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <limits>

#include "embed/c_call.h"
#include "embed/engine.h"

namespace {

using namespace inkling;

// The app's clocks, or the system's.
class HookClock final : public Clock {
 public:
  explicit HookClock(const ink_options& hooks) : hooks_(hooks) {}
  std::int64_t unix_ms() const override {
    return hooks_.unix_ms ? hooks_.unix_ms(hooks_.context) : system_.unix_ms();
  }
  std::int64_t steady_ms() const override {
    return hooks_.steady_ms ? hooks_.steady_ms(hooks_.context) : system_.steady_ms();
  }

 private:
  ink_options hooks_;
  SystemClock system_;
};

// Most names are those of the call before, so they are compared first, which is cheaper.
void set_text(std::string& text, const char* given) {
  if (std::strcmp(text.c_str(), given) != 0) text = given;
}

// Into the memory of the call before, whose names and numbers mostly fit.
Result<void> copy_candidates(const ink_candidate* given, std::size_t count,
                             std::vector<Candidate>& candidates) {
  if (given == nullptr && count > 0) return bad("candidates is null");
  candidates.resize(count);
  const std::size_t stride = count > 0 ? given->struct_size : 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto* at = reinterpret_cast<const ink_candidate*>(
        reinterpret_cast<const unsigned char*>(given) + i * stride);
    ink_candidate c{};
    if (at->struct_size != stride || !read_sized(at, c)) return bad("a candidate's struct_size");
    if (c.features == nullptr && c.feature_count > 0) return bad("features is null");
    Candidate& candidate = candidates[i];
    candidate.item = c.item;
    candidate.server_score = c.server_score;
    candidate.is_none = c.is_none != 0;
    candidate.group = c.group;
    candidate.fresh = c.is_fresh != 0;
    candidate.features.resize(c.feature_count);
    for (std::size_t j = 0; j < c.feature_count; ++j) {
      const ink_feature& f = c.features[j];
      if (f.name == nullptr) return bad("a feature's name is null");
      FeatureValue& feature = candidate.features[j];
      set_text(feature.name, f.name);
      if (f.category == nullptr) {
        feature.value = f.number;
      } else if (auto* text = std::get_if<std::string>(&feature.value)) {
        set_text(*text, f.category);
      } else {
        feature.value.emplace<std::string>(f.category);
      }
    }
  }
  return {};
}

std::size_t at_most_any(std::uint32_t places) {
  return places == 0 ? std::numeric_limits<std::size_t>::max() : places;
}

Result<Policy> policy_of(const ink_policy* given) {
  ink_policy p{};
  if (!read_sized(given, p)) return bad("a policy's struct_size");
  if (p.pins == nullptr && p.pin_count > 0) return bad("pins is null");
  Policy policy{.move_max = at_most_any(p.move_max),
                .fresh_min = p.fresh_min,
                .fresh_places = p.fresh_places,
                .spacing = p.spacing,
                .list_places = p.list_places,
                .temperature = p.temperature,
                .explore_places = p.explore_places,
                .seed = p.seed};
  if (p.list_fatigue != 0) policy.list_fatigue = p.list_fatigue;  // NAN too, which is refused
  if (p.list_width != 0) policy.list_width = p.list_width;
  for (std::size_t i = 0; i < p.pin_count; ++i)
    policy.pins.push_back({p.pins[i].item, p.pins[i].place});
  if (p.salt != nullptr) {
    policy.experiment =
        Experiment{.salt = p.salt, .person = p.person, .arms = p.arms, .hold_out = p.hold_out};
  }
  return policy;
}

std::string json_of(const Event& e) {
  std::string features;
  for (const float f : e.features) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%s%.9g", features.empty() ? "" : ",",
                  static_cast<double>(f));
    features += text.data();
  }
  std::array<char, 512> head{};
  std::snprintf(head.data(), head.size(),
                "{\"kind\":%d,\"time_ms\":%lld,\"request\":%llu,\"item\":%llu,\"position\":%u,"
                "\"propensity\":%.17g,\"server_score\":%.17g,\"dwell_ms\":%u,\"scroll\":%.17g,"
                "\"schema\":\"%016llx\",\"features\":[",
                static_cast<int>(e.kind), static_cast<long long>(e.time_ms),
                static_cast<unsigned long long>(e.request), static_cast<unsigned long long>(e.item),
                e.position, e.propensity, e.server_score, e.dwell_ms, e.scroll,
                static_cast<unsigned long long>(e.schema));
  return head.data() + features + "]}";
}

}  // namespace

struct ink_engine {
  explicit ink_engine(const ink_options& given) : hooks(given), clock(given) {}
  ink_options hooks;
  HookClock clock;
  std::unique_ptr<Engine> engine;
  std::string error;
  std::vector<Candidate> candidates;  // of the latest call
  std::vector<Reason> reasons;        // what the names in ink_reason point to

  void note(const Error& failure) {
    error = failure.message;
    if (hooks.log) hooks.log(hooks.context, error.c_str());
  }
};

uint32_t ink_abi_version(void) { return INK_ABI_VERSION; }

ink_status ink_open(const ink_options* options, ink_engine** engine) {
  if (engine == nullptr) return INK_INVALID_ARGUMENT;
  *engine = nullptr;
  ink_options known{};
  if (!read_sized(options, known) || known.folder == nullptr) return INK_INVALID_ARGUMENT;
  auto handle = std::make_unique<ink_engine>(known);
  const ink_status status = guarded(handle.get(), [&]() -> Result<void> {
    EngineOptions o{.folder = known.folder};
    o.log.survives_power_loss = known.survives_power_loss != 0;
    o.plan.executor = {.threads = known.threads, .run = known.run_tasks, .context = known.context};
    if (known.run_tasks == nullptr) o.plan.executor = {};
    if (known.rows_max != 0) o.log.retention.rows_max = known.rows_max;
    if (known.bytes_max != 0) o.log.retention.bytes_max = known.bytes_max;
    if (known.age_ms_max != 0) o.log.retention.age_ms_max = known.age_ms_max;
    INK_TRY(handle->engine, Engine::open(o, handle->clock));
    return {};
  });
  if (status == INK_OK) *engine = handle.release();
  return status;
}

void ink_close(ink_engine* engine) {
  if (engine == nullptr) return;
  // A snapshot that cannot be written costs the next start a longer reading, nothing else.
  guarded(engine, [&] { return engine->engine->save_history(); });
  delete engine;
}

const char* ink_last_error(const ink_engine* engine) {
  return engine == nullptr ? "" : engine->error.c_str();
}

ink_status ink_set_allocator(void* (*allocate)(void* context, size_t size, size_t alignment),
                             void (*release)(void* context, void* block), void* context) {
  const auto set = set_block_allocator({allocate, release, context});
  return set ? INK_OK : status_of(set.error().code);
}

ink_status ink_set_policy(ink_engine* engine, const ink_policy* policy) {
  return guarded(engine, [&]() -> Result<void> {
    INK_TRY(const Policy own, policy_of(policy));
    return engine->engine->set_policy(own);
  });
}

ink_status ink_experiment_arm(ink_engine* engine, uint32_t* arm) {
  return guarded(engine, [&]() -> Result<void> {
    INK_TRY(const std::uint32_t found, engine->engine->experiment_arm());
    if (arm != nullptr) *arm = found;
    return {};
  });
}

ink_status ink_rerank(ink_engine* engine, const ink_candidate* candidates, size_t count,
                      int64_t deadline_ms, uint32_t* order, ink_ranked_by* by) {
  return ink_rerank_explored(engine, candidates, count, deadline_ms, order, nullptr, by);
}

ink_status ink_rerank_explored(ink_engine* engine, const ink_candidate* candidates, size_t count,
                               int64_t deadline_ms, uint32_t* order, double* propensities,
                               ink_ranked_by* by) {
  return guarded(engine, [&]() -> Result<void> {
    if (order == nullptr && count > 0) return bad("order is null");
    INK_CHECK_OK(copy_candidates(candidates, count, engine->candidates));
    const std::int64_t deadline =
        deadline_ms == 0 ? std::numeric_limits<std::int64_t>::max() : deadline_ms;
    INK_TRY(const Ranking ranking, engine->engine->rerank(engine->candidates, deadline));
    std::copy(ranking.order.begin(), ranking.order.end(), order);
    if (propensities != nullptr) {
      std::fill_n(propensities, count, 1.0);
      std::copy(ranking.propensities.begin(), ranking.propensities.end(), propensities);
    }
    if (by != nullptr) *by = static_cast<ink_ranked_by>(ranking.by);
    return {};
  });
}

ink_status ink_why(ink_engine* engine, const ink_candidate* candidates, size_t count, size_t index,
                   ink_reason* reasons, size_t* reason_count) {
  return guarded(engine, [&]() -> Result<void> {
    if (reason_count == nullptr || (reasons == nullptr && *reason_count > 0))
      return bad("reasons is null");
    INK_CHECK_OK(copy_candidates(candidates, count, engine->candidates));
    INK_TRY(engine->reasons, engine->engine->why(engine->candidates, index, *reason_count));
    *reason_count = engine->reasons.size();
    for (std::size_t i = 0; i < engine->reasons.size(); ++i)
      reasons[i] = {engine->reasons[i].feature.c_str(), engine->reasons[i].effect};
    return {};
  });
}

ink_status ink_log_impressions(ink_engine* engine, uint64_t request, const ink_candidate* shown,
                               size_t count, const double* propensities, int64_t time_ms) {
  return guarded(engine, [&]() -> Result<void> {
    INK_CHECK_OK(copy_candidates(shown, count, engine->candidates));
    const std::span<const double> odds(propensities, propensities == nullptr ? 0 : count);
    return engine->engine->log_impressions(request, engine->candidates, odds, time_ms);
  });
}

ink_status ink_log_event(ink_engine* engine, ink_event kind, uint64_t request, uint64_t item,
                         uint32_t dwell_ms, double scroll, int64_t time_ms) {
  return guarded(engine, [&]() -> Result<void> {
    if (kind < INK_CLICK || kind > INK_DELETE) return bad("kind is not an ink_event");
    return engine->engine->log_event({.kind = static_cast<EventKind>(kind),
                                      .time_ms = time_ms,
                                      .request = request,
                                      .item = item,
                                      .dwell_ms = dwell_ms,
                                      .scroll = scroll,
                                      .features = {}});
  });
}

ink_status ink_adapt(ink_engine* engine, ink_adaptation* result) {
  return guarded(engine, [&]() -> Result<void> {
    const ink_options& hooks = engine->hooks;
    if (hooks.may_train && !hooks.may_train(hooks.context))
      return fail(ErrorCode::kFailedPrecondition, "adapt: the app says not now");
    INK_TRY(const Adaptation adaptation, engine->engine->adapt());
    if (result == nullptr) return {};
    const ink_adaptation out{.struct_size = result->struct_size,
                             .slates = adaptation.slates,
                             .has_patch = adaptation.patched,
                             .held_back_gain = adaptation.held_back_gain,
                             .shadow_slates = adaptation.shadow.requests,
                             .shadow_gain = adaptation.shadow.gain,
                             .rolled_back = adaptation.rolled_back};
    std::memcpy(result, &out, std::min(result->struct_size, sizeof(out)));
    return {};
  });
}

ink_status ink_erase_all(ink_engine* engine) {
  return guarded(engine, [&] { return engine->engine->erase_all(); });
}

ink_status ink_erase_item(ink_engine* engine, uint64_t item) {
  return guarded(engine, [&] { return engine->engine->erase_item(item); });
}

ink_status ink_erase_range(ink_engine* engine, int64_t begin_ms, int64_t end_ms) {
  return guarded(engine, [&] { return engine->engine->erase_range({begin_ms, end_ms}); });
}

ink_status ink_export(ink_engine* engine, int (*line)(void* context, const char* json),
                      void* context) {
  return guarded(engine, [&]() -> Result<void> {
    if (line == nullptr) return bad("line is null");
    bool stopped = false;
    INK_CHECK_OK(engine->engine->scan([&](const Event& event) {
      if (!stopped) stopped = line(context, json_of(event).c_str()) != 0;
    }));
    return {};
  });
}

ink_status ink_update_model(ink_engine* engine, const void* bytes, size_t size,
                            const void* signature, size_t signature_size) {
  return guarded(engine, [&]() -> Result<void> {
    if (bytes == nullptr) return bad("bytes is null");
    const ink_options& hooks = engine->hooks;
    if (hooks.verify == nullptr ||
        hooks.verify(hooks.context, bytes, size, signature, signature_size) != 1)
      return fail(ErrorCode::kVerification, "update: the bundle's signature does not hold");
    return engine->engine->update_model({static_cast<const std::uint8_t*>(bytes), size});
  });
}

ink_status ink_rollback_model(ink_engine* engine) {
  return guarded(engine, [&] { return engine->engine->rollback_model(); });
}
