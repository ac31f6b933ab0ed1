#include "runtime/base/result.h"

namespace inkling {

std::string_view error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid argument";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kNotFound:
      return "not found";
    case ErrorCode::kCorrupt:
      return "corrupt";
    case ErrorCode::kIo:
      return "input/output";
    case ErrorCode::kNetwork:
      return "network";
    case ErrorCode::kProtocol:
      return "protocol";
    case ErrorCode::kVerification:
      return "verification";
    case ErrorCode::kResourceLimit:
      return "resource limit";
    case ErrorCode::kFailedPrecondition:
      return "failed precondition";
  }
  return "unknown";
}

}  // namespace inkling
