#pragma once
// A patch of a classifier: what training changed in a base, to be put onto the same base again.
// Where little was trained (biases, a last layer) it is a small part of the model. `inkling train
// --patch` writes it and so does Learner (autograd/learner.h); either reads the other's.
//
// It is a model file (docs/model-format.md) without nodes, whose variables are the trained values
// in half floats, by name, and whose metadata say how the base is taken apart and what comes out:
//
//   patch_base      SHA-256 of the base's file, in hex
//   patch_train     what was trained (parse_train_choice)
//   patch_features  where the base is cut; empty: before its last layer
//   patch_head      "own": the base keeps its last layer and its classes (keep_head)
//   labels          class names, one a line; missing where the head is the base's own
//
// and what else the writer needs.

#include "autograd/fine_tune.h"
#include "runtime/model.h"

namespace inkling {

struct ModelPatch {
  std::string base;  // SHA-256 of the base's file, in hex
  std::string train, features;
  bool keeps_head = false;
  TrainedValues values;
  std::map<std::string, std::string> metadata;  // beyond the above, but with "labels"
};

// As a patch stores them and gives them back. kUnsupported: a value beyond a half float's range.
Result<TrainedValues> rounded_for_patch(const TrainedValues& values);

// Errors as rounded_for_patch.
Result<Model> patch_model(const ModelPatch& patch);

// The patch in a file, for the base of that digest. kCorrupt: a model but no patch, or numbers that
// are not finite. kVerification: made for another base.
Result<ModelPatch> read_patch(const Model& file, std::string_view base);

// The classifier cut as the patch was: what training_graph and trained_graph take.
Result<Graph> patch_base_graph(const Graph& classifier, const ModelPatch& patch);

// The classifier that a patch makes of its base. kCorrupt: values that the base has no place for.
Result<Graph> patched_graph(const Graph& classifier, const ModelPatch& patch);

// Class names, one a line, as metadata hold them.
std::string joined_lines(std::span<const std::string> lines);
std::vector<std::string> lines_of(const std::string& text);

}  // namespace inkling
