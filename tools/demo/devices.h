#pragma once
// The devices of the demo: one folder a person below OUT/devices, with that person's behaviour log
// in it. What a device learns from is in its own folder, and nowhere else.

#include "rerank/learn/training_data.h"
#include "tools/datasets/choice_data.h"

namespace inkling::tools {

inline constexpr const char* kDeviceLogName = "behavior.sqlite";
inline constexpr const char* kDevicePatchName = "patch.sqlite";

Path device_folder(const Path& out, UserId person);  // OUT/devices/0001
Path device_log(const Path& out, UserId person);

// Empties each person's folder and logs their training slates there, one durable append a person.
Result<void> record_devices(const Path& out, const ChoiceData& data);

// The slates that one device can learn from. kFailedPrecondition: rows are damaged or incomplete,
// which the demo never expects. Errors of BehaviorLog.
Result<std::vector<EncodedSlate>> load_training_slates(const Path& log,
                                                       const FeatureSchema& schema);

}  // namespace inkling::tools
