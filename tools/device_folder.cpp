#include "tools/device_folder.h"

#include <iomanip>
#include <sstream>

#include "runtime/base/thread_pool.h"

namespace inkling::tools {

namespace {

constexpr std::uint64_t kSchemaBytesMax = 1 << 20;
constexpr unsigned kDevicesAtATime = 8;

// Calls visit(index of the person) for everyone, and returns the first error in their order.
template <typename Visit>
Result<void> for_each_device(const ChoiceData& data, const Visit& visit) {
  std::vector<Result<void>> outcomes(data.people.size());
  ThreadPool pool(kDevicesAtATime);
  pool.parallel_for(outcomes.size(), 1, [&](std::size_t begin, std::size_t end, unsigned) {
    for (std::size_t i = begin; i < end; ++i) outcomes[i] = visit(i);
  });
  for (const auto& outcome : outcomes) INK_CHECK_OK(outcome);
  return {};
}

Result<void> record_device(const Path& folder, const Person& person, const FeatureSchema& schema) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (error) return fail(ErrorCode::kIo, "empty ", folder.string(), ": ", error.message());
  std::vector<Event> events;
  for (const Slate& slate : person.train) {
    INK_TRY(const std::vector<Event> shown, slate_events(slate, schema));
    events.insert(events.end(), shown.begin(), shown.end());
  }
  // The times of a data set are its own, near zero: a clock that stands there keeps retention by
  // age away from them.
  const VirtualClock clock;
  INK_TRY(BehaviorLog log, BehaviorLog::open(folder / kDeviceLogName, {}, clock));
  INK_CHECK_OK(log.append(events));
  return write_file(folder / kDeviceSchemaName, schema.to_bytes());
}

}  // namespace

Path device_folder(const Path& out, UserId person) {
  std::ostringstream name;
  name << std::setfill('0') << std::setw(4) << person;
  return out / "devices" / name.str();
}

Result<void> record_devices(const Path& out, const ChoiceData& data) {
  return for_each_device(data, [&](std::size_t i) {
    const Person& person = data.people[i];
    return record_device(device_folder(out, person.user), person, data.schema);
  });
}

Result<DeviceData> load_device(const Path& folder) {
  const VirtualClock clock;
  const Path path = folder / kDeviceLogName;
  INK_TRY(const Bytes schema_bytes, read_file(folder / kDeviceSchemaName, kSchemaBytesMax));
  INK_TRY(FeatureSchema schema, FeatureSchema::parse(schema_bytes));
  if (!std::filesystem::exists(path))
    return fail(ErrorCode::kNotFound, path.string(), ": no behaviour log");
  INK_TRY(BehaviorLog log, BehaviorLog::open(path, {}, clock));
  INK_TRY(TrainingData data, read_training_data(log, schema));
  if (log.quarantine() || data.damaged + data.incomplete > 0) {
    return fail(ErrorCode::kFailedPrecondition, path.string(), ": ", data.damaged,
                " damaged rows and ", data.incomplete, " incomplete slates, expected none");
  }
  return DeviceData{std::move(schema), std::move(data.slates)};
}

Result<std::vector<std::vector<EncodedSlate>>> load_devices(const Path& out,
                                                            const ChoiceData& data) {
  std::vector<std::vector<EncodedSlate>> all(data.people.size());
  INK_CHECK_OK(for_each_device(data, [&](std::size_t i) -> Result<void> {
    INK_TRY(DeviceData device, load_device(device_folder(out, data.people[i].user)));
    all[i] = std::move(device.slates);
    return {};
  }));
  return all;
}

Result<void> save_patches(const Path& out, const ChoiceData& data, std::span<const Patch> patches) {
  return for_each_device(data, [&](std::size_t i) -> Result<void> {
    const Path folder = device_folder(out, data.people[i].user);
    INK_TRY(KeyValue store, KeyValue::open(folder / kDevicePatchName));
    return save_patch(store, patches[i]);
  });
}

Result<std::vector<Patch>> load_patches(const Path& out, const ChoiceData& data) {
  std::vector<Patch> patches(data.people.size());
  INK_CHECK_OK(for_each_device(data, [&](std::size_t i) -> Result<void> {
    const Path folder = device_folder(out, data.people[i].user);
    INK_TRY(KeyValue store, KeyValue::open(folder / kDevicePatchName));
    INK_TRY(patches[i], load_patch(store));
    return {};
  }));
  return patches;
}

}  // namespace inkling::tools
