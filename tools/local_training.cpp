#include "tools/local_training.h"

#include <algorithm>

#include "rerank/learn/personaliser.h"
#include "tools/device_folder.h"

namespace inkling::tools {

namespace {

// Plain gradient descent on the device's choices, from the global weights and without a pull to
// them: what federated averaging asks of a client. The loss is a mean over the device's slates, so
// the rate does not depend on their number.
Result<federated::LocalUpdate> train_choices(const Path& device, const federated::Plan& plan,
                                             const Bytes& bytes) {
  const bool evaluates = plan.kind == kEvaluateChoices;
  if (plan.kind != "conditional_logit" && !evaluates) {
    return fail(ErrorCode::kUnsupported, "local training '", plan.kind,
                "': this device knows conditional_logit and ", kEvaluateChoices);
  }
  INK_TRY(const DeviceData data, load_device(device));
  const auto owner = std::make_shared<const Bytes>(bytes);
  INK_TRY(const Model model, decode_model(*owner, owner));
  INK_CHECK_OK(check_scorer(model, data.schema));
  INK_TRY(const auto parameters, model_parameters(model.graph));
  std::size_t alternatives = 1;
  for (const EncodedSlate& slate : data.slates)
    alternatives = std::max(alternatives, slate.alternatives);
  INK_TRY(Personaliser trainer,
          Personaliser::create(
              model, {.slates_max = std::max<std::size_t>(data.slates.size(), 1),
                      .alternatives_max = alternatives,
                      .steps = static_cast<int>(plan.local_steps),
                      .rate = plan.rate /
                              static_cast<double>(std::max<std::size_t>(data.slates.size(), 1)),
                      .optimizer = Sgd{}}));
  const auto slates = static_cast<double>(data.slates.size());
  if (evaluates) {
    if (data.slates.empty()) return federated::LocalUpdate{.delta = {0.0f}, .metrics = {0.0, 0.0}};
    INK_TRY(const double nll, trainer.nll_sum(data.slates, nullptr));
    return federated::LocalUpdate{.delta = {0.0f}, .metrics = {nll / slates, 1.0}};
  }
  // The pull is to the sum over slates what prox / 2 is to their mean.
  INK_TRY(auto patch, trainer.personalise(data.slates, slates * plan.prox / 2));
  return federated::LocalUpdate{.delta = patch ? std::move(patch->delta)
                                               : std::vector<float>(parameters.size(), 0.0f)};
}

}  // namespace

federated::LocalTraining local_training(const Path& device_folder) {
  return [device_folder](const federated::Plan& plan, const Bytes& model) {
    return train_choices(device_folder, plan, model);
  };
}

}  // namespace inkling::tools
