#pragma once
// The model for everyone of a study: everything that it learns from people are sums over them
// (rerank/learn/people_sum.h), taken in the clear at one place, or federated.
//
// The exact parts (columns' moments, the prior of tastes, the conditional logit) are the same
// arithmetic either way. The deep models learn centrally by Adam on minibatches of slates, and
// federated by adaptive federated averaging (Reddi et al., ICLR'21): in a round a cohort of people
// each take one pass over their own slates by SGD, and the server's Adam takes the mean of what
// moved.

#include <functional>
#include <string>

#include "rerank/learn/people_sum.h"
#include "rerank/learn/scorer_trainer.h"
#include "tools/rerank/study.h"

namespace inkling::tools {

struct Scaling {
  std::vector<float> mean, deviation;  // by column
};

using Progress = std::function<void(const std::string&)>;

class StudyTraining {
 public:
  // `options` and `progress` outlive it.
  StudyTraining(const StudyOptions& options, const Progress& progress);
  StudyTraining(const StudyTraining&) = delete;
  StudyTraining& operator=(const StudyTraining&) = delete;

  // The history's columns, with the prior of tastes that these people's training slates give.
  Result<HistoryLayout> layout(const FeatureSchema& schema, const std::vector<Person>& people);

  // Of each person's training examples, as the layout encodes them.
  Result<Model> model(const FeatureSchema& schema, std::size_t base,
                      std::span<const std::vector<Example>> people);
  const Scaling& scaling() const { return scaling_; }  // of the rows that model() was given

  Result<FederatedRecord> record() const;  // what the federation asked of people

 private:
  Result<void> scale(std::span<const std::vector<EncodedSlate>> slates, std::size_t base,
                     std::size_t width);
  Result<std::vector<float>> fit_logit(std::vector<std::vector<EncodedSlate>> slates,
                                       std::size_t width);
  Result<void> start_noise();
  Result<Model> start_model(const FeatureSchema& schema, std::size_t base,
                            std::span<const float> linear) const;
  // Rounds of a cohort's local passes, as the plan says, from `start`.
  struct Plan;
  Plan plan() const;
  Result<Model> train_federated(const Model& start, std::span<const std::vector<Example>> people,
                                const Plan& plan);
  bool is_private() const { return options_.federated && options_.federated->epsilon > 0; }

  const StudyOptions& options_;
  const Progress& progress_;
  SecureSum secure_;
  SumOverPeople sum_;
  Scaling scaling_;
};

}  // namespace inkling::tools
