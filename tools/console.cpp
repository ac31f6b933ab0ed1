#include "tools/console.h"

#include <unistd.h>

#include <cstdlib>

namespace inkling::tools {
namespace {

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
  return value == nullptr ? std::string_view() : value;
}

}  // namespace

Console::Console(std::ostream& out, std::ostream& err, const ConsoleOptions& options)
    : out_(out),
      err_(err),
      terminal_(stderr_is_terminal()),
      shows_progress_(terminal_ || options.progress),
      log_(options.log_level, stderr_takes_colour()) {}

void Console::progress(std::string_view line) {
  if (!shows_progress_) return;
  if (terminal_) {
    err_ << "\r\x1b[K" << line << std::flush;
  } else if (!line.empty()) {
    err_ << line << std::endl;
  }
}

bool stderr_takes_colour() {
  return stderr_is_terminal() && environment("NO_COLOR").empty() && environment("TERM") != "dumb";
}

}  // namespace inkling::tools
