#include "tools/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_color_sinks.h>

namespace inkling::tools {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

}  // namespace

struct Log::Sink {
  explicit Sink(bool colour)
      : logger("inkling", std::make_shared<spdlog::sinks::stderr_color_sink_mt>(
                              colour ? spdlog::color_mode::always : spdlog::color_mode::never)) {
    logger.set_level(spdlog::level::trace);
    logger.set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  }
  spdlog::logger logger;
};

Log::Log(LogLevel level, bool colour) : level_(level), sink_(std::make_unique<Sink>(colour)) {}

Log::~Log() = default;

void Log::write_line(LogLevel level, std::string_view line) {
  sink_->logger.log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace inkling::tools
