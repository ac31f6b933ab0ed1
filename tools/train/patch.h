#pragma once
// A patch: what training changed in a base, to be put onto the same base again. Where little was
// trained (biases, a last layer) it is a small part of the model.
//
// It is a model file (docs/model-format.md) without nodes, whose variables are the trained values
// in half floats, by name, and whose metadata say how the base is taken apart and what comes out:
//
//   patch_base    SHA-256 of the base's file
//   patch_shapes  --shape, one a line;  patch_features  --features;  patch_train  --train
//   labels, input_mean, input_std  as in a classifier (tools/train/classifier.h)

#include "autograd/fine_tune.h"
#include "tools/train/classifier.h"
#include "tools/train/settings.h"

namespace inkling::tools {

// As a patch stores them and gives them back. kUnsupported: a value beyond a half float's range.
Result<TrainedValues> rounded_for_patch(const TrainedValues& values);

// Of a run on a base, not from scratch. Errors as rounded_for_patch.
Result<Model> make_patch(const TrainSettings& settings, const TrainedValues& values,
                         const PictureClassifier& classifier);

// The classifier that a patch makes of its base. kVerification: another base. kCorrupt: metadata
// that do not parse or values that the base has no place for.
Result<PictureClassifier> open_patched(const Path& base, const Path& patch);

// model alone, or with a patch when that is not empty.
Result<PictureClassifier> open_classifier(const Path& model, const Path& patch);

}  // namespace inkling::tools
