#pragma once
// People and the slates that they chose from, split in time: what the reranking models learn from
// and are measured on. The readers of this folder fill it from the files of Debian packages.

#include "rerank/feature_schema.h"
#include "rerank/slate.h"

namespace inkling {

struct Person {
  UserId user = 0;
  std::vector<Slate> train{};  // in time order
  std::vector<Slate> test{};   // later than all of train
};

struct ChoiceData {
  FeatureSchema schema;  // encodes every candidate of the people
  std::vector<Person> people{};
};

}  // namespace inkling
