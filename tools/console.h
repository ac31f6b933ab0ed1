#pragma once
// What an action may show: data on stdout, the log and the progress line on stderr.
// One thread, except for the log.

#include <ostream>
#include <string_view>

#include "tools/log.h"

namespace inkling::tools {

struct ConsoleOptions {
  LogLevel log_level = LogLevel::kInfo;
  bool progress = false;  // show progress even where stderr is no terminal
};

class Console {
 public:
  Console(std::ostream& out, std::ostream& err, const ConsoleOptions& options);

  // For results only, so that `inkling ... > file` holds data and nothing else.
  std::ostream& out() { return out_; }
  Log& log() { return log_; }

  // Shows how far a long task is. On a terminal each call replaces the line before it and an empty
  // line clears it; elsewhere nothing is shown unless --progress asks for one line per call.
  void progress(std::string_view line);

 private:
  std::ostream& out_;
  std::ostream& err_;
  bool terminal_;
  bool shows_progress_;
  Log log_;
};

// Colour on stderr: a terminal that is not "dumb", and no NO_COLOR (https://no-color.org).
bool stderr_takes_colour();

}  // namespace inkling::tools
