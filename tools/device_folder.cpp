#include "tools/device_folder.h"

#include <iomanip>
#include <sstream>

namespace inkling::tools {

namespace {

constexpr std::uint64_t kSchemaBytesMax = 1 << 20;

}  // namespace

Path device_folder(const Path& out, UserId person) {
  std::ostringstream name;
  name << std::setfill('0') << std::setw(4) << person;
  return out / "devices" / name.str();
}

// Data sets have times of their own, near zero: a clock that stands there keeps retention by age
// away from them.

Result<void> record_devices(const Path& out, const ChoiceData& data) {
  const VirtualClock clock;
  for (const Person& person : data.people) {
    const Path folder = device_folder(out, person.user);
    std::error_code error;
    std::filesystem::remove_all(folder, error);
    if (error) return fail(ErrorCode::kIo, "empty ", folder.string(), ": ", error.message());
    std::vector<Event> events;
    for (const Slate& slate : person.train) {
      INK_TRY(const std::vector<Event> shown, slate_events(slate, data.schema));
      events.insert(events.end(), shown.begin(), shown.end());
    }
    INK_TRY(BehaviorLog log, BehaviorLog::open(folder / kDeviceLogName, {}, clock));
    INK_CHECK_OK(log.append(events));
    INK_CHECK_OK(write_file(folder / kDeviceSchemaName, data.schema.to_bytes()));
  }
  return {};
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

}  // namespace inkling::tools
