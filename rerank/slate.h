#pragma once
// Slate: one list that a person was shown or is about to be shown, with raw features.
// Plain values.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "storage/behavior_log.h"

namespace inkling {

// A raw feature: a number, or the name of a category. NaN is a missing number.
struct FeatureValue {
  std::string name;
  std::variant<double, std::string> value;
};

struct Candidate {
  ItemId item = 0;
  double server_score = 0;
  bool is_none = false;  // the outside option: "none of these"
  std::vector<FeatureValue> features{};
  std::uint64_t group = 0;  // for spacing; 0: of no group
  bool fresh = false;       // for the freshness floor
};

struct Slate {
  UserId user = 0;
  RequestId request = 0;
  std::int64_t time_ms = 0;
  std::vector<Candidate> candidates{};  // in the server's order
  // Indices into candidates: one where the person chose one, several where they clicked on several
  // of a page; empty when it is not known.
  std::vector<std::size_t> chosen{};
};

}  // namespace inkling
