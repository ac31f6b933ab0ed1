#pragma once
// The local trainings that a plan can name, bound to this device's data.

#include "federated/participant.h"

namespace inkling::tools {

// "conditional_logit": full-batch gradient steps on the choices in the device's behaviour log.
// The training itself refuses (kUnsupported) a plan of another kind.
federated::LocalTraining local_training(const Path& device_folder);

}  // namespace inkling::tools
