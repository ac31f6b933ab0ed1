#include "rerank/beam_search.h"

#include <algorithm>
#include <cmath>

namespace inkling {

namespace {

struct Beam {
  std::vector<std::uint32_t> list{};
  double value = 0;
  bool greedy = true;
};

struct Extension {
  double value;
  std::uint32_t parent, item;
  bool greedy;
};

bool better(const Extension& a, const Extension& b) {
  if (a.value != b.value) return a.value > b.value;
  return a.parent != b.parent ? a.parent < b.parent : a.item < b.item;
}

// Every list of the beam with every item that is not in it yet.
Result<std::vector<Extension>> extend(ListEvaluator& evaluator, std::span<const Beam> beam,
                                      std::vector<double>& gains) {
  std::vector<Extension> extensions;
  extensions.reserve(beam.size() * gains.size());
  std::vector<bool> used(gains.size());
  for (std::uint32_t parent = 0; parent < beam.size(); ++parent) {
    const Beam& from = beam[parent];
    evaluator.gains(from.list, gains);
    used.assign(gains.size(), false);
    for (const std::uint32_t item : from.list) used[item] = true;
    std::size_t largest = extensions.size();
    for (std::uint32_t item = 0; item < gains.size(); ++item) {
      if (used[item]) continue;
      const double value = from.value + gains[item];
      if (!std::isfinite(value)) {
        return fail(ErrorCode::kInvalidArgument, "beam search: item ", item, " at place ",
                    from.list.size(), " gains ", gains[item], ", expected a finite number");
      }
      extensions.push_back({value, parent, item, false});
      if (value > extensions[largest].value) largest = extensions.size() - 1;
    }
    if (from.greedy) extensions[largest].greedy = true;
  }
  return extensions;
}

// The best extensions first, as many as go on.
std::size_t select(std::vector<Extension>& extensions, std::size_t width_min, std::size_t width_max,
                   double reach) {
  const std::size_t most = std::min(width_max, extensions.size());
  const double worst =
      std::min_element(extensions.begin(), extensions.end(),
                       [](const Extension& a, const Extension& b) { return a.value < b.value; })
          ->value;
  std::partial_sort(extensions.begin(), extensions.begin() + static_cast<std::ptrdiff_t>(most),
                    extensions.end(), better);
  const double best = extensions.front().value;
  const double least = reach < 1 ? best - reach * (best - worst) : worst;
  std::size_t width = std::min(width_min, most);
  while (width < most && extensions[width].value >= least) ++width;
  return width;
}

Result<void> check_options(const BeamOptions& o) {
  if (o.width_min < 1 || o.width_min > o.width_max || o.width_max > kBeamWidthMax) {
    return fail(ErrorCode::kInvalidArgument, "beam search: a width of ", o.width_min, " to ",
                o.width_max, ", expected 1 to ", kBeamWidthMax);
  }
  if (!(o.reach >= 0 && o.reach <= 1) || !(o.settled >= 0)) {
    return fail(ErrorCode::kInvalidArgument, "beam search: reach ", o.reach, ", settled ",
                o.settled, ", expected 0 to 1, and at least 0");
  }
  return {};
}

bool is_settled(std::span<const Beam> beam, double settled) {
  const auto [low, high] = std::minmax_element(
      beam.begin(), beam.end(), [](const Beam& a, const Beam& b) { return a.value < b.value; });
  return beam.size() > 1 && high->value - low->value <= settled * std::abs(high->value);
}

}  // namespace

Result<BeamResult> beam_search(ListEvaluator& evaluator, std::size_t items,
                               const BeamOptions& options, const std::function<bool()>& late) {
  INK_CHECK_OK(check_options(options));
  BeamResult result;
  std::vector<Beam> beam(1), next;
  std::vector<double> gains(items);
  std::size_t width_max = options.width_max;
  while (beam.front().list.size() < std::min(options.places, items)) {
    if (late && late()) {
      result.finished = false;
      break;
    }
    if (is_settled(beam, options.settled)) width_max = options.width_min;
    INK_TRY(std::vector<Extension> extensions, extend(evaluator, beam, gains));
    const std::size_t width = select(extensions, options.width_min, width_max, options.reach);
    result.widths.push_back(width);
    next.clear();
    for (std::size_t i = 0; i < extensions.size(); ++i) {
      const Extension& e = extensions[i];
      if (i >= width && !e.greedy) continue;
      next.push_back({beam[e.parent].list, e.value, e.greedy});
      next.back().list.push_back(e.item);
    }
    beam.swap(next);
  }
  // The greedy list, when it stands beside the others, is last and worth no more than they are.
  result.list = std::move(beam.front().list);
  result.value = beam.front().value;
  return result;
}

}  // namespace inkling
