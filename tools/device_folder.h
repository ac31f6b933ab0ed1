#pragma once
// A device as a folder: the behaviour log of the person who owns it, their patch, the feature
// schema of the app, its identity and its state. What a device learns from is in its own folder,
// and nowhere else. The demo has one for each person, below OUT/devices.

#include "rerank/learn/training_data.h"
#include "rerank/patch.h"
#include "tools/datasets/choice_data.h"

namespace inkling::tools {

inline constexpr const char* kDeviceLogName = "behavior.sqlite";
inline constexpr const char* kDevicePatchName = "patch.sqlite";
inline constexpr const char* kDeviceSchemaName = "schema";           // FeatureSchema::to_bytes
inline constexpr const char* kDeviceStateName = "federated.sqlite";  // the Participant's
inline constexpr const char* kDeviceLedgerName = "privacy.sqlite";   // what has left the device
inline constexpr const char* kDeviceIdentityName = "identity";       // from ca issue

Path device_folder(const Path& out, UserId person);  // OUT/devices/0001

// Empties each person's folder, and writes the schema and a log of their training slates there, one
// durable append a person.
Result<void> record_devices(const Path& out, const ChoiceData& data);

struct DeviceData {
  FeatureSchema schema;
  std::vector<EncodedSlate> slates{};
};

// What one device can learn from. kFailedPrecondition: rows are damaged or incomplete. Errors of
// BehaviorLog and of FeatureSchema::parse.
Result<DeviceData> load_device(const Path& folder);

// Everyone's slates, and everyone's patch, in the order of data.people. Like record_devices(),
// several devices at a time: they mostly wait for the disk.
Result<std::vector<std::vector<EncodedSlate>>> load_devices(const Path& out,
                                                            const ChoiceData& data);
Result<void> save_patches(const Path& out, const ChoiceData& data, std::span<const Patch> patches);
Result<std::vector<Patch>> load_patches(const Path& out, const ChoiceData& data);

}  // namespace inkling::tools
