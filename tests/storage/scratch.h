#pragma once
// A folder of its own for every test, removed afterwards.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "runtime/base/file.h"

namespace inkling {

// How often a test of chance repeats: a few times while developing, all of `whole` times where
// INKLING_WHOLE_COUNTS is set, as in the end-to-end run.
inline int repetitions(int few, int whole) {
  return std::getenv("INKLING_WHOLE_COUNTS") != nullptr ? whole : few;
}

class ScratchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              concat("inkling_", info->test_suite_name(), "_", info->name(), "_", ::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The names of the files below the folder that contain the bytes.
  std::vector<std::string> files_with(std::string_view needle) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
      if (!entry.is_regular_file()) continue;
      const Bytes bytes = *read_file(entry.path());
      if (as_text(bytes).find(needle) != std::string_view::npos)
        names.push_back(entry.path().filename().string());
    }
    return names;
  }

  Path folder_;
};

}  // namespace inkling
