#pragma once
// Beam search for a list that is good as a whole, place by place, when what an item is worth
// depends on the items above it. Generator and evaluator are apart (Feng et al., "GRN: Generative
// Rerank Network for Context-wise Recommendation", 2021): this is the generator; a ListEvaluator
// says what each next item adds. The width adapts as the beam of Gong et al., "Real-time Short
// Video Recommendation on Mobile Devices", CIKM 2022, does: once the lists in the beam are worth
// about the same, it matters little which of them is gone on with.
//
// Pure: the same gains give the same list. Ties go to the list that stands before in the beam, then
// to the earlier item, so equal items keep the server's order.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "runtime/base/result.h"

namespace inkling {

// A list's value is the sum of the gains along it.
class ListEvaluator {
 public:
  virtual ~ListEvaluator() = default;
  // Writes what each item adds when it stands right below `prefix`; what it writes for an item of
  // the prefix is not read. A function of the prefix alone.
  virtual void gains(std::span<const std::uint32_t> prefix, std::span<double> gains) = 0;
};

struct BeamOptions {
  std::size_t places = 10;  // the list's length; more than there are items: all of them
  // Lists that go on from place to place. The greedy one, which takes the largest gain at each
  // place, is always among them or beside them, so the answer is never worth less than it.
  std::size_t width_min = 1, width_max = 8;  // 1 <= width_min <= width_max
  // Of a place's extensions those go on that are worth at least the best one's value less this
  // share of the distance to the worst one's; in [0, 1]. 1: as many as width_max allows.
  double reach = 0.5;
  // When the worst list of the beam is worth less than the best by no more than this share of it,
  // the rest of the list is searched at width_min; >= 0.
  double settled = 0.0001;
};

inline constexpr std::size_t kBeamWidthMax = 4096;

struct BeamResult {
  std::vector<std::uint32_t> list{};  // items, best first
  double value = 0;
  std::vector<std::size_t> widths{};  // by place: the lists that went on, but for the greedy one
  bool finished = true;               // false: `late` cut it short; the list holds fewer places
};

// `late`, if there is one, is asked before each place; when it says yes the best list so far is the
// answer. kInvalidArgument: options out of range, or gains that are not finite.
Result<BeamResult> beam_search(ListEvaluator& evaluator, std::size_t items,
                               const BeamOptions& options, const std::function<bool()>& late = {});

}  // namespace inkling
