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

std::string concat_parts(const MessagePart* parts, std::size_t count) {
  std::ostringstream out;
  for (std::size_t i = 0; i < count; ++i) parts[i].print(out, parts[i].value);
  return std::move(out).str();
}

}  // namespace inkling
