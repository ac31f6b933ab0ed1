#include "autograd/losses.h"

#include "runtime/ops.h"

namespace inkling {

ValueId softmax_cross_entropy(Graph& g, ValueId logits, ValueId targets) {
  if (!g.status()) return kNoValue;
  if (g.shape(logits).rank() != 2 || g.shape(targets) != g.shape(logits)) {
    g.latch({ErrorCode::kInvalidArgument,
             concat("softmax_cross_entropy: logits ", g.shape(logits), " with targets ",
                    g.shape(targets), ": expected [rows, classes] for both")});
    return kNoValue;
  }
  const auto rows = static_cast<double>(g.shape(logits)[0]);
  return scale(g, sum(g, mul(g, targets, log_softmax(g, logits))), -1.0 / rows);
}

ValueId squared_distance(Graph& g, ValueId x, ValueId towards) {
  const ValueId difference = sub(g, x, towards);
  return sum(g, mul(g, difference, difference));
}

}  // namespace inkling
