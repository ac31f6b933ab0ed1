#pragma once
// Fine-tuning: a trained classifier, cut before its last layer, becomes the base of one for other
// classes. What is trained is chosen among the base's constants; the rest stays frozen and costs
// neither activations nor backward work.
//
//   cut_head(classifier)  -> base: one example in, "features" f32[1, f] out
//   training_graph(base)  -> the loss of a batch, and the variables to train (autograd/trainer.h)
//   trained_graph(base)   -> the new classifier: one example in, "probabilities" f32[1, classes]
//   out
//
// A network of one's own is trained in the same way: its base holds initial values and all of it is
// trained.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph.h"

namespace inkling {

// What is trained besides the head.
enum class TrainPart : std::uint8_t {
  kHead,  // nothing else: features can be computed once (autograd/feature_cache.h)
  kLast,  // weights and biases of the last `count` linear layers of the base
  kBias,  // biases of all layers (Ben Zaken et al., "BitFit", ACL 2022)
  kNorm,  // scales and shifts of the normalisations (Frankle et al., ICLR 2021)
  kLora,  // a correction A B of rank `count` to the weights of each layer, or of the last `layers`
          // (Hu et al., "LoRA", ICLR 2022)
  kAll
};

struct TrainChoice {
  TrainPart part = TrainPart::kHead;
  std::size_t count = 0;
  std::size_t layers = 0;  // 0: all
};

// "head", "last:2", "bias", "norm", "lora:rank=4", "lora:rank=4:last=8", "all". kInvalidArgument:
// anything else.
Result<TrainChoice> parse_train_choice(std::string_view text);

// The part of a classifier of one example that is worth keeping. Without a name it is cut before
// the last linear layer with constant weights that its first output depends on; else after the
// value of that name. Feature maps are averaged over their positions. kNotFound: no value of that
// name, or no linear layer. kInvalidArgument: more than one input.
Result<Graph> cut_head(const Graph& classifier, std::string_view features_name = {},
                       bool keep_scales = false);

// The classifier up to what its softmax takes, as a base whose head is its own last linear layer:
// for more training on the classes that it has. Its output is "logits" f32[1, classes], and
// FineTuneSpec::classes counts for nothing. kUnsupported: it does not end in a softmax over its
// classes.
Result<Graph> keep_head(const Graph& classifier, bool keep_scales = false);

// A base that keeps its head, cut in two: what comes before the head, with its input and the output
// "features", and the head from there to "logits". Trained values go by the same names. kNotFound:
// as cut_head. kUnsupported: the logits depend on more than the features.
struct HeadSplit {
  Graph before, head;
};
Result<HeadSplit> split_head(const Graph& base);

// The base with new initial values in its linear layers and zero biases: the same network from
// scratch.
Result<Graph> reinitialize(const Graph& base, std::uint64_t seed);

struct FineTuneSpec {
  std::int64_t classes = 2;  // of the new head
  TrainChoice train = {};
  std::uint64_t seed = 1;
};

// Inputs: the base's own, and "targets" f32[batch, classes] whose rows sum to one. Output:
// "logits".
struct TrainingGraph {
  Graph graph;
  ValueId loss;
  std::vector<ValueId> train;
};

// kInvalidArgument: nothing to train in the base. The rest as with_batch (runtime/passes/passes.h).
Result<TrainingGraph> training_graph(const Graph& base, std::int64_t batch,
                                     const FineTuneSpec& spec);

// A base that gives its input: for features that are there already.
Graph features_base(std::int64_t features);

// Trained values by the names of the variables; a name that is missing keeps its value in the base.
using TrainedValues = std::map<std::string, Tensor>;

// kInvalidArgument: a value of another shape, or none for the head.
Result<Graph> trained_graph(const Graph& base, const FineTuneSpec& spec,
                            const TrainedValues& values);

}  // namespace inkling
