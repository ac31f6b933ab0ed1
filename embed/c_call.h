#pragma once
// What every function of the C interface (embed/inkling.h) needs: statuses, structs of other
// versions, and a border that no exception crosses. Only for the files that define it.

#include <algorithm>
#include <cstring>
#include <exception>

#include "embed/inkling.h"
#include "runtime/base/result.h"

namespace inkling {

inline ink_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return INK_INVALID_ARGUMENT;
    case ErrorCode::kUnsupported:
      return INK_UNSUPPORTED;
    case ErrorCode::kNotFound:
      return INK_NOT_FOUND;
    case ErrorCode::kCorrupt:
      return INK_CORRUPT;
    case ErrorCode::kIo:
      return INK_IO;
    case ErrorCode::kVerification:
      return INK_VERIFICATION;
    case ErrorCode::kResourceLimit:
      return INK_RESOURCE_LIMIT;
    case ErrorCode::kFailedPrecondition:
      return INK_NOT_NOW;
    case ErrorCode::kNetwork:
    case ErrorCode::kProtocol:
      break;
  }
  return INK_FAILED;
}

// Reads a struct of an older or newer app: what it does not have stays zero.
template <typename T>
bool read_sized(const T* given, T& known) {
  if (given == nullptr || given->struct_size < sizeof(std::size_t)) return false;
  std::memcpy(&known, given, std::min(given->struct_size, sizeof(T)));
  return true;
}

inline tl::unexpected<Error> bad(const char* what) {
  return fail(ErrorCode::kInvalidArgument, what);
}

// Runs what may fail. Where exceptions are on, running out of memory is a status too. A handle has
// a text `error` and note(Error), which keeps a failure.
template <typename Handle, typename Body>
ink_status guarded(Handle* handle, const Body& body) {
  if (handle == nullptr) return INK_INVALID_ARGUMENT;
  const auto refuse = [&](const Error& error) {
    handle->note(error);
    return status_of(error.code);
  };
#if defined(__cpp_exceptions)
  try {
#endif
    handle->error.clear();
    const Result<void> done = body();
    return done ? INK_OK : refuse(done.error());
#if defined(__cpp_exceptions)
  } catch (const std::exception&) {
    return refuse({ErrorCode::kResourceLimit, "out of memory"});
  }
#endif
}

}  // namespace inkling
