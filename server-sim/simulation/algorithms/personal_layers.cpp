#include "server-sim/simulation/algorithms/personal_layers.h"

#include <algorithm>

namespace inkling {

namespace {

std::size_t length_of(std::span<const ParameterRange> ranges) {
  std::size_t length = 0;
  for (const ParameterRange& range : ranges) length += range.end - range.begin;
  return length;
}

// Between a whole vector and its ranges one after another.
void gather_ranges(std::span<const float> whole, std::span<const ParameterRange> ranges,
                   std::span<float> to) {
  auto at = to.begin();
  for (const ParameterRange& range : ranges)
    at = std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(range.begin),
                     range.end - range.begin, at);
}

void scatter_ranges(std::span<const float> from, std::span<const ParameterRange> ranges,
                    std::span<float> whole) {
  auto at = from.begin();
  for (const ParameterRange& range : ranges) {
    const auto size = static_cast<std::ptrdiff_t>(range.end - range.begin);
    std::copy_n(at, size, whole.begin() + static_cast<std::ptrdiff_t>(range.begin));
    at += size;
  }
}

}  // namespace

Result<SharedRanges> split_ranges(const AlgorithmSpec& spec, const AlgorithmContext& context) {
  std::string known;
  for (const ParameterSlice& variable : context.variables)
    known += (known.empty() ? "" : ", ") + variable.name;
  for (const std::string& name : spec.personal) {
    const bool is_known =
        std::any_of(context.variables.begin(), context.variables.end(),
                    [&](const ParameterSlice& variable) { return variable.name == name; });
    if (!is_known) {
      return fail(ErrorCode::kInvalidArgument, spec.name, ": personal variable '", name,
                  "': the model has ", known);
    }
  }
  SharedRanges ranges;
  for (const ParameterSlice& variable : context.variables) {
    const bool is_personal =
        std::find(spec.personal.begin(), spec.personal.end(), variable.name) != spec.personal.end();
    const auto elements = static_cast<std::size_t>(variable.shape.elements());
    (is_personal ? ranges.personal : ranges.shared)
        .push_back({.begin = variable.offset, .end = variable.offset + elements});
  }
  if (ranges.shared.empty())
    return fail(ErrorCode::kInvalidArgument, spec.name, ": all variables are personal: ", known);
  return ranges;
}

PersonalLayers::PersonalLayers(const AlgorithmContext& context, ServerOptimizer optimizer,
                               SharedRanges ranges)
    : Remembering(context, std::move(optimizer), length_of(ranges.personal)),
      ranges_(std::move(ranges)),
      shared_length_(length_of(ranges_.shared)) {}

void PersonalLayers::personalise(std::uint64_t client, std::span<float> model) const {
  std::vector<float> own(own_.length());
  if (own_.get(client, own)) scatter_ranges(own, ranges_.personal, model);
}

Result<LocalReport> PersonalLayers::train(const ClientTurn& turn, std::span<const float> global,
                                          const TrainLocally& train_locally,
                                          std::span<float> scratch, std::span<float> after) {
  std::copy(global.begin(), global.end(), scratch.begin());
  personalise(turn.client, scratch);
  INK_TRY(const LocalReport report, train_own(scratch, train_locally, after));
  std::vector<float> own(own_.length());
  gather_ranges(after, ranges_.personal, own);
  own_.put(turn.client, own);
  return report;
}

void PersonalLayers::upload(const ClientTurn&, std::span<float> update, std::span<double>) {
  std::vector<float> shared(shared_length_);
  gather_ranges(update, ranges_.shared, shared);
  std::copy(shared.begin(), shared.end(), update.begin());
}

Result<void> PersonalLayers::step(const RoundMean& mean, std::span<float> parameters) {
  std::vector<float> delta(parameters_, 0.0f);
  scatter_ranges(mean.upload, ranges_.shared, delta);
  return optimizer_.step(parameters, delta);
}

}  // namespace inkling
