#pragma once
// Patches (autograd/model_patch.h) of classifiers. Their metadata also hold what a classifier's do
// (tools/train/classifier.h), and in patch_shapes --shape, one a line.

#include "autograd/model_patch.h"
#include "tools/train/classifier.h"
#include "tools/train/settings.h"

namespace inkling::tools {

// Of a run on a base, not from scratch. Errors as rounded_for_patch.
Result<Model> make_patch(const TrainSettings& settings, const TrainedValues& values,
                         const Classifier& classifier);

// The classifier that a patch makes of its base. kVerification: another base. kCorrupt: metadata
// that do not parse or values that the base has no place for.
Result<Classifier> open_patched(const Path& base, const Path& patch);

// model alone, or with a patch when that is not empty.
Result<Classifier> open_classifier(const Path& model, const Path& patch);

}  // namespace inkling::tools
