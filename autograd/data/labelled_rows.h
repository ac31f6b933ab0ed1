#pragma once
// What all labelled training data have, whatever an example is.

#include <cstdint>
#include <string>
#include <vector>

namespace inkling {

struct LabelledRows {
  std::vector<std::string> classes;
  std::vector<std::uint32_t> labels;  // one an example, an index into classes; or none
  std::vector<std::string> names;     // one an example, for people
  std::vector<std::string> groups;    // one an example, or none: what must not be split

  std::size_t count() const { return names.size(); }
};

}  // namespace inkling
