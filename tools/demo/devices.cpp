#include "tools/demo/devices.h"

#include <iomanip>
#include <sstream>

namespace inkling::tools {

Path device_folder(const Path& out, UserId person) {
  std::ostringstream name;
  name << std::setfill('0') << std::setw(4) << person;
  return out / "devices" / name.str();
}

Path device_log(const Path& out, UserId person) {
  return device_folder(out, person) / kDeviceLogName;
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
    INK_TRY(BehaviorLog log, BehaviorLog::open(device_log(out, person.user), {}, clock));
    INK_CHECK_OK(log.append(events));
  }
  return {};
}

Result<std::vector<EncodedSlate>> load_training_slates(const Path& log,
                                                       const FeatureSchema& schema) {
  const VirtualClock clock;
  INK_TRY(BehaviorLog opened, BehaviorLog::open(log, {}, clock));
  INK_TRY(TrainingData data, read_training_data(opened, schema));
  if (opened.quarantine() || data.damaged + data.incomplete > 0) {
    return fail(ErrorCode::kFailedPrecondition, log.string(), ": ", data.damaged,
                " damaged rows and ", data.incomplete, " incomplete slates, expected none");
  }
  return std::move(data.slates);
}

}  // namespace inkling::tools
