#pragma once
// Engine: everything that one device keeps and does for reranking, behind the C interface.
//
// In its folder: the behaviour log, the versions of the model bundle, and a key-value store with
// the patch, a snapshot of the history, the base schemas that rows were logged under and the
// version on trial. A damaged log is set aside and the engine goes on with an empty one; a bundle
// that does not load is withdrawn for the one before it. So is a new patch or model with which the
// process ends twice before it has ranked once (embed/probation.h), the patch first. One thread at
// a time; clock must outlive it.

#include <functional>

#include "embed/probation.h"
#include "rerank/bundle.h"
#include "rerank/learn/patch_choice.h"
#include "rerank/learn/shadow.h"
#include "rerank/reranker.h"
#include "storage/model_store.h"

namespace inkling {

struct EngineOptions {
  Path folder;
  LogOptions log{};
  PatchChoiceSpec patch{};
  ShadowSpec shadow{};
  PlanOptions plan{};
};

struct Adaptation {
  std::size_t slates = 0;
  bool patched = false;
  double held_back_gain = 0;
  ShadowScore shadow{};      // of the model in use when adapt() was called; requests 0: no trial
  bool rolled_back = false;  // it was worse, and the one before it is in use again
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> open(const EngineOptions& options, const Clock& clock);

  Result<Ranking> rerank(std::span<const Candidate> candidates, std::int64_t deadline_ms);

  // One request. A request that was logged before is kInvalidArgument.
  Result<void> log_impressions(RequestId request, std::span<const Candidate> shown,
                               std::span<const double> propensities, std::int64_t time_ms);
  Result<void> log_event(const Event& event);

  // A new model is on trial: until it has been compared on ShadowSpec::requests_max requests, it is
  // withdrawn here if it is worse than the one before it. Models with other base features cannot be
  // compared and are trusted. kFailedPrecondition: no model. A patch that shows no gain any more is
  // dropped.
  Result<Adaptation> adapt();

  Result<void> erase_all();
  Result<void> erase_item(ItemId item);
  Result<void> erase_range(TimeRange range);
  Result<ScanReport> scan(const std::function<void(const Event&)>& visit);

  // Errors of check_policy(). Holds until the next call.
  Result<void> set_policy(const Policy& policy);
  Result<std::uint32_t> experiment_arm() const { return arm_of(policy_); }
  // kFailedPrecondition: no model.
  Result<std::vector<Reason>> why(std::span<const Candidate> candidates, std::size_t index,
                                  std::size_t count_max);

  Result<void> update_model(ByteSpan bundle);
  Result<void> rollback_model();

  // Keeps the history for the next open(), which else reads the whole log again.
  Result<void> save_history();

 private:
  struct Loaded {
    HistoryLayout layout;
    Model model;
    Reranker reranker;
    History history;
  };
  // The request whose choices are still coming; the history sees it when the next one begins.
  struct Pending {
    RequestId request = 0;
    std::vector<ItemId> items;
    std::vector<float> rows;  // f32[items, base width]
    std::vector<std::size_t> chosen;
    void choose(ItemId item);
  };

  Engine(EngineOptions options, const Clock& clock, BehaviorLog log, ModelStore models,
         KeyValue store)
      : options_(std::move(options)),
        clock_(&clock),
        log_(std::move(log)),
        models_(std::move(models)),
        store_(std::move(store)) {}
  Result<void> withdraw_what_crashes();
  Result<void> load_model();
  Result<void> use(Bundle bundle);
  Result<void> load_patch();
  Result<void> remember_schema();
  Result<void> rebuild_history();
  Result<bool> restore_history();
  Result<void> close_request();
  Result<void> review_model(Adaptation& result);
  Result<void> forget_learnt();

  EngineOptions options_;
  const Clock* clock_;
  BehaviorLog log_;
  ModelStore models_;
  KeyValue store_;
  Probation probation_{store_};
  std::optional<Loaded> loaded_;
  Pending pending_;
  Policy policy_;
};

}  // namespace inkling
