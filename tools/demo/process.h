#pragma once
// Process: a child process of the demo, with its output in files. Killed and reaped if it is still
// there when its owner goes.

#include <sys/types.h>

#include <string>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/result.h"

namespace inkling::tools {

class Process {
 public:
  // Runs this program itself with other arguments.
  static Result<Process> start_self(const std::vector<std::string>& arguments, const Path& out,
                                    const Path& err);
  Process(Process&& other) noexcept : pid_(other.pid_) { other.pid_ = -1; }
  Process& operator=(Process&&) = delete;
  ~Process();

  // Its exit status; kFailedPrecondition when a signal ended it, with the signal's number in the
  // message.
  Result<int> wait();
  // Waits until it has been stopped (SIGSTOP). kFailedPrecondition: it ended instead.
  Result<void> wait_stopped();
  void send(int signal);
  bool running();

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

}  // namespace inkling::tools
