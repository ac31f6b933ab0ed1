#include "autograd/recompute.h"

#include <algorithm>
#include <vector>

#include "runtime/passes/rewriter.h"

namespace inkling {

namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

class Recomputer {
 public:
  Recomputer(const Graph& source, ValueId loss) : source_(source), rewriter_(source) {
    find_producers();
    find_forward(loss);
    find_readers();
  }

  Result<Graph> run(std::size_t segments) {
    cut(segments);
    find_kept();
    const auto pieces = find_pieces();
    std::size_t next = pieces.size();  // the last segment's gradients come first
    for (std::size_t i = 0; i < source_.nodes().size(); ++i) {
      for (; next > 0 && pieces[next - 1].first_reader <= i; --next)
        compute_again(pieces[next - 1]);
      rewriter_.copy(source_.nodes()[i]);
    }
    return rewriter_.finish();
  }

 private:
  // A segment's nodes that are computed again, and the first node that needs it.
  struct Piece {
    std::vector<std::size_t> nodes;
    std::size_t first_reader = kNone;
  };

  void find_producers() {
    producer_.assign(source_.values().size(), kNone);
    for (std::size_t i = 0; i < source_.nodes().size(); ++i) {
      for (const ValueId id : source_.nodes()[i].outputs) producer_[at(id)] = i;
    }
  }

  void find_forward(ValueId loss) {
    forward_.assign(source_.nodes().size(), false);
    last_ = producer_[at(loss)];
    forward_[last_] = true;
    for (std::size_t i = last_ + 1; i-- > 0;) {
      if (!forward_[i]) continue;
      for (const ValueId id : source_.nodes()[i].inputs) {
        if (producer_[at(id)] != kNone) forward_[producer_[at(id)]] = true;
      }
    }
  }

  void find_readers() {
    last_forward_read_.assign(source_.values().size(), kNone);
    first_backward_read_.assign(source_.values().size(), kNone);
    for (std::size_t i = 0; i < source_.nodes().size(); ++i) {
      for (const ValueId id : source_.nodes()[i].inputs) {
        if (i <= last_) {
          last_forward_read_[at(id)] = i;
        } else if (first_backward_read_[at(id)] == kNone) {
          first_backward_read_[at(id)] = i;
        }
      }
    }
  }

  std::size_t bytes(ValueId id) const { return source_.spec(id).bytes(); }

  // Segments that hold about as much for the backward pass each, cut where little crosses.
  void cut(std::size_t segments) {
    std::vector<std::size_t> held(last_ + 1), crossing(last_ + 2);
    std::size_t all = 0;
    for (std::size_t i = 0; i <= last_; ++i) {
      for (const ValueId id : source_.nodes()[i].outputs) {
        if (forward_[i] && first_backward_read_[at(id)] != kNone) all += bytes(id);
        if (last_forward_read_[at(id)] == kNone) continue;
        crossing[i] += bytes(id);  // differences, then running sums
        crossing[last_forward_read_[at(id)]] -= bytes(id);
      }
      held[i] = all;
      if (i > 0) crossing[i] += crossing[i - 1];
    }
    segment_.assign(last_ + 1, 0);
    std::size_t begin = 0, number = 0;
    for (std::size_t s = 1; s < segments; ++s) {
      const std::size_t low = all * (2 * s - 1) / (2 * segments),
                        high = all * (2 * s + 1) / (2 * segments);
      std::size_t best = kNone;
      for (std::size_t i = begin; i < last_; ++i) {
        if (held[i] < low || held[i] > high) continue;
        if (best == kNone || crossing[i] < crossing[best]) best = i;
      }
      if (best == kNone) continue;
      ++number;
      begin = best + 1;
      std::fill(segment_.begin() + static_cast<std::ptrdiff_t>(begin), segment_.end(), number);
    }
  }

  // What a later segment reads, what is given out, and all that lies outside the segments.
  void find_kept() {
    kept_.assign(source_.values().size(), true);
    for (std::size_t i = 0; i <= last_; ++i) {
      if (!forward_[i] || segment_[i] == segment_[last_]) continue;
      for (const ValueId id : source_.nodes()[i].outputs) {
        const std::size_t reader = last_forward_read_[at(id)];
        kept_[at(id)] = reader != kNone && segment_[reader] != segment_[i];
      }
    }
    for (const NamedValue& output : source_.outputs()) kept_[at(output.value)] = true;
    for (const Update& update : source_.updates()) kept_[at(update.value)] = true;
  }

  std::vector<Piece> find_pieces() const {
    std::vector<Piece> pieces(segment_[last_]);
    std::vector<bool> again(last_ + 1, false);
    for (std::size_t i = last_ + 1; i-- > 0;) {
      if (!forward_[i] || segment_[i] >= pieces.size()) continue;
      Piece& piece = pieces[segment_[i]];
      for (const ValueId id : source_.nodes()[i].outputs) {
        if (kept_[at(id)] || first_backward_read_[at(id)] == kNone) continue;
        again[i] = true;
        piece.first_reader = std::min(piece.first_reader, first_backward_read_[at(id)]);
      }
      if (!again[i]) continue;
      piece.nodes.insert(piece.nodes.begin(), i);
      for (const ValueId id : source_.nodes()[i].inputs) {
        if (!kept_[at(id)]) again[producer_[at(id)]] = true;
      }
    }
    return pieces;
  }

  // Later readers get the new values.
  void compute_again(const Piece& piece) {
    for (const std::size_t i : piece.nodes) {
      const Node& node = source_.nodes()[i];
      const ValueId first =
          rewriter_.graph().append(node.op, rewriter_.now(node.inputs), node.attrs);
      for (std::uint32_t o = 0; o < node.outputs.size(); ++o) {
        if (!kept_[at(node.outputs[o])]) rewriter_.map(node.outputs[o], Graph::result_of(first, o));
      }
    }
  }

  const Graph& source_;
  Rewriter rewriter_;
  std::size_t last_ = 0;               // the node that gives the loss
  std::vector<std::size_t> producer_;  // by value: a node, or kNone
  std::vector<bool> forward_;          // by node: the loss depends on it
  std::vector<std::size_t> last_forward_read_, first_backward_read_;  // by value: a node, or kNone
  std::vector<std::size_t> segment_;                                  // by node up to last_
  std::vector<bool> kept_;                                            // by value
};

}  // namespace

Result<Graph> recompute(const Graph& graph, ValueId loss, std::size_t segments) {
  INK_CHECK_OK(graph.status());
  if (loss == kNoValue || graph.value(loss).kind != ValueKind::kResult)
    return fail(ErrorCode::kInvalidArgument, "recompute: the loss is not computed by the graph");
  return Recomputer(graph, loss).run(segments);
}

}  // namespace inkling
