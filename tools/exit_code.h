#pragma once
// The exit codes of `inkling`, one section each in docs/exit-codes.md. They are part of the
// interface: scripts branch on them, so a number is never given a second meaning.

#include "runtime/base/result.h"

namespace inkling::tools {

enum class ExitCode : int {
  kOk = 0,
  kFailure = 1,
  kUsage = 2,
  kCorruptInput = 3,
  kIo = 4,
  kNetwork = 5,
  kProtocol = 6,
  kVerification = 7,
  kResourceLimit = 8
};

ExitCode exit_code_for(ErrorCode code);

}  // namespace inkling::tools
