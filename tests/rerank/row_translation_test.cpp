#include "rerank/row_translation.h"

#include <gmock/gmock.h>

namespace inkling {
namespace {

using ::testing::ElementsAre;

FeatureSchema schema(std::vector<FeatureSpec> features, std::uint32_t version = 1) {
  return *FeatureSchema::create(version, std::move(features));
}
const FeatureSpec kPrice{.name = "price"};
const FeatureSpec kBrand{.name = "brand", .kind = FeatureKind::kCategory, .categories = {"a"}};

TEST(RowTranslation, WhatBothDefineAlikeKeepsItsColumns) {
  const auto from = schema({kPrice, kBrand, {.name = "old"}});
  const auto to = schema({{.name = "new", .missing = 7}, kBrand, kPrice});
  const auto translation = RowTranslation::create(from, to);
  ASSERT_TRUE(translation);
  EXPECT_EQ(translation->from_width(), 4u);
  // Columns of the history may follow.
  const std::vector<float> row = {2.5f, 1, 0, 9, -1, -1};
  EXPECT_THAT((*translation)(row), ElementsAre(7, 1, 0, 2.5f));
}

TEST(RowTranslation, WhatIsDefinedOtherwiseIsAbsent) {
  const auto from = schema({kPrice, kBrand});
  const auto to = schema({{.name = "price", .missing = 3, .scale = 2},
                          {.name = "brand", .kind = FeatureKind::kCategory, .categories = {"b"}}});
  const std::vector<float> row = {2.5f, 1, 0};
  EXPECT_THAT((*RowTranslation::create(from, to))(row), ElementsAre(1.5f, 0, 1));
}

TEST(RowTranslation, RefusesAnotherVersion) {
  const auto refused = RowTranslation::create(schema({kPrice}), schema({kPrice}, 2));
  EXPECT_EQ(refused.error().code, ErrorCode::kVerification);
}

}  // namespace
}  // namespace inkling
