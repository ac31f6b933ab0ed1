#pragma once
// A study of reranking on one data set: trains one model on everyone's training slates, replays
// each person's test slates in time order, and measures the order that everyone's model gives
// (reading that person's history, as a device would) and the one with the person's own patch on
// top.
//
// Everything is a function of the data, the options and the seed.

#include <optional>
#include <string>
#include <vector>

#include "rerank/learn/patch_choice.h"
#include "rerank/learn/scorer_trainer.h"
#include "rerank/learn/taste_prior.h"
#include "rerank/metrics.h"
#include "rerank/sequence_scorer.h"
#include "tools/datasets/choice_data.h"
#include "tools/rerank/secure_sum.h"

namespace inkling::tools {

class Console;

// The ladder. kServer is the order in which the slates come.
enum class ModelKind { kServer, kLogit, kDin, kEdgeRec };
inline constexpr const char* kModelNames[] = {"server", "logit", "din", "edgerec"};

enum class Split {
  kTest,   // train on the training slates, measure on the test slates
  kInner,  // forget the test slates: measure on a part of the training slates; for choosing options
};

// How the model for everyone is trained federated; the defaults were chosen on Split::kInner.
struct FederatedOptions {
  bool masked =
      false;  // by the real machines of secure aggregation; else the same sums in the clear
  // The deep models: rounds of a cohort's local passes, and the server's Adam.
  std::uint64_t rounds = 300;
  std::size_t cohort = 32;
  double local_rate = 0.1, server_rate = 1e-3, tau = 1e-4;
  double clip_l2 = 1;
  // Above 0: differential privacy of each person, at `delta`. Then nothing but rounds with noise
  // reads what people chose: some for the prior of tastes, then those of the last layer, each with
  // everyone and one gradient a person.
  double epsilon = 0, delta = 1e-4;
  int private_prior_rounds = 3;
  std::uint64_t private_rounds = 100;
  double private_prior_clip = 8, private_rate = 0.2, private_clip = 0.2;
};

// What a federated training asked of people.
struct FederatedRecord {
  SecureSumTally sums{};
  double epsilon = 0;  // 0: no noise
};

struct StudyOptions {
  ModelKind model = ModelKind::kEdgeRec;
  Split split = Split::kTest;
  std::uint64_t seed = 1;
  bool history = true;  // history columns; false: the base features alone
  double ridge = 10;    // of the logit, on normalised columns
  HistoryOptions memory{};
  TastePriorOptions prior{};
  ScorerTrainingSpec training{};
  std::optional<FederatedOptions> federated{};  // absent: at one place, in the clear
  std::size_t past_rows = 32;
  PatchChoiceSpec patch{};
  // Above 0: also measures the list that a beam search finds over the personal scores, where an
  // item like those above it is worth less by up to this share (rerank/list_value.h).
  double list_fatigue = 0;
  // Pulls, shown only. Empty: no curve, which takes most of the time where the head is wide.
  std::vector<double> curve = {3, 10, 30, 100, 300, 1000, 3000, 10000};  // pulls, shown only
};

struct Quality {  // with 95 % bootstrap intervals over people; absent where a metric says nothing
  std::optional<Interval> top1{}, ndcg{}, mrr{}, nll{}, gauc{};
};

// People with a patch, or without one because it showed no gain, by how much they had to learn
// from.
struct ActivityGroup {
  std::size_t slates_min = 0, slates_max = 0;  // training slates
  std::size_t people = 0, patched = 0, better = 0, worse = 0;
  double nll_gain = 0;  // mean over people of global minus personal
};

struct PullPoint {
  double pull = 0, held_back_nll = 0, test_nll = 0;
};

struct ReliabilityBin {
  double predicted = 0, observed = 0;  // means
  std::size_t count = 0;               // candidates
};

// What a budget of privacy leaves of the quality.
struct PricePoint {
  double epsilon = 0;  // spent
  Quality global{}, personal{};
};

struct StudyResult {
  std::size_t people = 0, train_slates = 0, test_slates = 0, columns = 0, parameters = 0;
  bool choices = false;  // every slate has exactly one chosen item: top-1 instead of GAUC
  Quality global{}, personal{};
  std::optional<Quality> list{};             // with list_fatigue; an order has no NLL
  std::optional<Interval> list_ndcg_gain{};  // over personal, paired
  std::optional<Interval> nll_gain{};        // global minus personal, paired
  std::optional<FederatedRecord> federated{};
  std::vector<PricePoint> prices{};  // the same study again with noise; filled by who asks for it
  std::string model_digest{};        // SHA-256 of the model for everyone
  std::size_t patched = 0;           // people
  double worse_share = 0;            // of the people with test slates: their NLL got worse
  std::vector<ActivityGroup> activity{};
  std::vector<PullPoint> pulls{};  // everyone patched with this pull, kept or not
  std::vector<ReliabilityBin> reliability{};
  double train_seconds = 0, seconds = 0;
};

// kInvalidArgument: no one to train or to measure on, or options that the parts refuse.
Result<StudyResult> run_study(const ChoiceData& data, const StudyOptions& options,
                              Console& console);

}  // namespace inkling::tools
