#include "tools/exit_code.h"

#include <gtest/gtest.h>

namespace inkling::tools {
namespace {

TEST(ExitCode, IsWhatTheDocumentSaysForEveryErrorCode) {
  const std::pair<ErrorCode, int> cases[] = {{ErrorCode::kInvalidArgument, 2},
                                             {ErrorCode::kUnsupported, 3},
                                             {ErrorCode::kNotFound, 4},
                                             {ErrorCode::kCorrupt, 3},
                                             {ErrorCode::kIo, 4},
                                             {ErrorCode::kNetwork, 5},
                                             {ErrorCode::kProtocol, 6},
                                             {ErrorCode::kVerification, 7},
                                             {ErrorCode::kResourceLimit, 8},
                                             {ErrorCode::kFailedPrecondition, 1}};
  for (const auto& [code, expected] : cases)
    EXPECT_EQ(static_cast<int>(exit_code_for(code)), expected) << error_code_name(code);
}

}  // namespace
}  // namespace inkling::tools
