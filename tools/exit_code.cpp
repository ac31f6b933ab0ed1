#include "tools/exit_code.h"

namespace inkling::tools {

ExitCode exit_code_for(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return ExitCode::kUsage;
    case ErrorCode::kUnsupported:
    case ErrorCode::kCorrupt:
      return ExitCode::kCorruptInput;
    case ErrorCode::kNotFound:
    case ErrorCode::kIo:
      return ExitCode::kIo;
    case ErrorCode::kNetwork:
      return ExitCode::kNetwork;
    case ErrorCode::kProtocol:
      return ExitCode::kProtocol;
    case ErrorCode::kVerification:
      return ExitCode::kVerification;
    case ErrorCode::kResourceLimit:
      return ExitCode::kResourceLimit;
    case ErrorCode::kFailedPrecondition:
      return ExitCode::kFailure;
  }
  return ExitCode::kFailure;
}

}  // namespace inkling::tools
