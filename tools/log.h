#pragma once
// The command's log: lines on stderr, filtered by --log-level. Libraries below never log; they
// return a Result, and a command decides what a person should read. Any thread may write.

#include <memory>
#include <string_view>

#include "runtime/base/result.h"

namespace inkling::tools {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

class Log {
 public:
  Log(LogLevel level, bool colour);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // log.info("round ", round, ": ", survivors, " survivors");
  template <typename... Parts>
  void debug(const Parts&... parts) {
    write(LogLevel::kDebug, parts...);
  }
  template <typename... Parts>
  void info(const Parts&... parts) {
    write(LogLevel::kInfo, parts...);
  }
  template <typename... Parts>
  void warning(const Parts&... parts) {
    write(LogLevel::kWarning, parts...);
  }
  template <typename... Parts>
  void error(const Parts&... parts) {
    write(LogLevel::kError, parts...);
  }

  bool shows(LogLevel level) const { return level >= level_; }

 private:
  template <typename... Parts>
  void write(LogLevel level, const Parts&... parts) {
    if (shows(level)) write_line(level, concat(parts...));
  }
  void write_line(LogLevel level, std::string_view line);

  struct Sink;
  LogLevel level_;
  std::unique_ptr<Sink> sink_;
};

}  // namespace inkling::tools
