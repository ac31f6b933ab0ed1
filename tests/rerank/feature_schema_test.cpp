#include "rerank/feature_schema.h"

#include <gmock/gmock.h>

#include <cmath>

#include "runtime/base/rng.h"

namespace inkling {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<FeatureSpec> specs() {
  return {{.name = "price", .missing = 3, .mean = 1, .scale = 2},
          {.name = "age", .kind = FeatureKind::kBucket, .missing = -5, .boundaries = {0, 10}},
          {.name = "brand", .kind = FeatureKind::kCategory, .categories = {"sony", "canon"}},
          {.name = "none", .kind = FeatureKind::kIsNone}};
}

FeatureSchema schema() {
  auto made = FeatureSchema::create(1, specs());
  EXPECT_TRUE(made) << made.error().message;
  return *std::move(made);
}

std::vector<float> row(const Candidate& candidate) {
  const auto encoded = schema().encode(std::vector<Candidate>{candidate});
  EXPECT_TRUE(encoded) << encoded.error().message;
  return encoded ? *encoded : std::vector<float>();
}

std::string refusal(const Candidate& candidate) {
  std::vector<float> out(schema().width());
  const auto result = schema().encode(candidate, out);
  return result ? "" : result.error().message;
}

TEST(FeatureSchema, LaysOutEveryKind) {
  EXPECT_EQ(schema().width(), 8u);
  EXPECT_THAT(schema().column_names(),
              ElementsAre("price", "age[0]", "age[1]", "age[2]", "brand=sony", "brand=canon",
                          "brand=other", "none"));
  EXPECT_THAT(row({.features = {{"price", 5.0}, {"age", 10.0}, {"brand", "canon"}}}),
              ElementsAre(2, 0, 0, 1, 0, 1, 0, 0));
  EXPECT_THAT(row({.features = {{"brand", "pentax"}, {"age", 9.999}, {"price", -1.0}}}),
              ElementsAre(-1, 0, 1, 0, 0, 0, 1, 0));
}

TEST(FeatureSchema, MissingValuesGetTheirDefaults) {
  EXPECT_THAT(row({}), ElementsAre(1, 1, 0, 0, 0, 0, 1, 0));
  EXPECT_THAT(row({.is_none = true, .features = {{"price", NAN}, {"age", NAN}}}),
              ElementsAre(1, 1, 0, 0, 0, 0, 1, 1));
}

TEST(FeatureSchema, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(refusal({.features = {{"colour", 1.0}}}), "feature schema 1: unknown feature colour");
  EXPECT_THAT(refusal({.features = {{"price", 1.0}, {"price", 1.0}}}), HasSubstr("given twice"));
  EXPECT_THAT(refusal({.features = {{"price", "cheap"}}}), HasSubstr("expected a number"));
  EXPECT_THAT(refusal({.features = {{"brand", 1.0}}}), HasSubstr("expected a category"));
  EXPECT_THAT(refusal({.features = {{"age", INFINITY}}}), HasSubstr("beyond what f32 holds"));
  EXPECT_THAT(refusal({.features = {{"price", 1e300}}}), HasSubstr("beyond what f32 holds"));
  EXPECT_THAT(refusal({.features = {{"none", 1.0}}}), HasSubstr("takes no value"));
  std::vector<float> narrow(7);
  EXPECT_THAT(schema().encode(Candidate{}, narrow).error().message,
              HasSubstr("7 columns, expected 8"));
}

TEST(FeatureSchema, RefusesFeaturesThatCannotBe) {
  const auto refused = [](std::size_t feature, auto change) {
    auto bad = specs();
    change(bad[feature]);
    const auto made = FeatureSchema::create(1, bad);
    return made ? std::string("accepted") : made.error().message;
  };
  EXPECT_THAT(refused(0, [](auto& f) { f.name = ""; }), HasSubstr("feature 0 ()"));
  EXPECT_THAT(refused(0, [](auto& f) { f.name = "age"; }),
              HasSubstr("feature 1 (age): named twice"));
  EXPECT_THAT(refused(0, [](auto& f) { f.scale = 0; }), HasSubstr("scale"));
  EXPECT_THAT(refused(0, [](auto& f) { f.mean = NAN; }), HasSubstr("finite"));
  EXPECT_THAT(refused(0, [](auto& f) { f.missing = 1e300; }), HasSubstr("f32"));
  EXPECT_THAT(refused(0, [](auto& f) { f.boundaries = {1}; }), HasSubstr("boundaries"));
  EXPECT_THAT(refused(1, [](auto& f) { f.boundaries = {}; }), HasSubstr("boundaries"));
  EXPECT_THAT(refused(1, [](auto& f) { f.boundaries = {1, 1}; }), HasSubstr("ascending"));
  EXPECT_THAT(refused(1, [](auto& f) { f.boundaries = {NAN}; }), HasSubstr("boundaries"));
  EXPECT_THAT(refused(2, [](auto& f) { f.categories = {"a", "a"}; }), HasSubstr("distinct"));
  EXPECT_THAT(refused(2, [](auto& f) { f.categories = {}; }), HasSubstr("categories"));
  EXPECT_THAT(refused(1, [](auto& f) { f.boundaries.resize(kFeatureWidthMax + 1); }),
              HasSubstr("ascending"));
  EXPECT_FALSE(FeatureSchema::create(1, {}));
  std::vector<FeatureSpec> many;
  for (std::size_t i = 0; i < kFeaturesMax; ++i) many.push_back({.name = concat("f", i)});
  EXPECT_TRUE(FeatureSchema::create(1, many));
  many.push_back({.name = "one more"});
  EXPECT_FALSE(FeatureSchema::create(1, many));
}

TEST(FeatureSchema, TheWidthLimitHoldsAtItsBorder) {
  FeatureSpec wide{.name = "b", .kind = FeatureKind::kBucket};
  for (std::size_t i = 0; i + 1 < kFeatureWidthMax; ++i)
    wide.boundaries.push_back(static_cast<double>(i));
  EXPECT_EQ(FeatureSchema::create(1, {wide})->width(), kFeatureWidthMax);
  EXPECT_THAT(FeatureSchema::create(1, {wide, {.name = "c"}}).error().message, HasSubstr("wider"));
}

TEST(FeatureSchema, TheFingerprintCoversEveryField) {
  std::vector<std::uint64_t> prints = {schema().fingerprint(),
                                       FeatureSchema::create(2, specs())->fingerprint()};
  const auto changed = [&](std::size_t feature, auto change) {
    auto other = specs();
    change(other[feature]);
    prints.push_back(FeatureSchema::create(1, other)->fingerprint());
  };
  changed(0, [](auto& f) { f.name = "prize"; });
  changed(0, [](auto& f) { f.missing = 4; });
  changed(0, [](auto& f) { f.mean = 4; });
  changed(0, [](auto& f) { f.scale = 4; });
  changed(1, [](auto& f) { f.boundaries[1] = 11; });
  changed(2, [](auto& f) { f.categories[0] = "leica"; });
  changed(3, [](auto& f) { f.kind = FeatureKind::kNumeric; });
  std::sort(prints.begin(), prints.end());
  EXPECT_EQ(std::adjacent_find(prints.begin(), prints.end()), prints.end());
  EXPECT_EQ(schema().fingerprint(), schema().fingerprint());
}

TEST(FeatureSchema, TheFingerprintIsTheSameOnEveryMachineForEver) {
  const auto made = FeatureSchema::create(1, {{.name = "price"}});
  EXPECT_EQ(to_hex(made->to_bytes()),
            "494e4b4653310100000001000000"
            "05000000707269636501"
            "00000000000000000000000000000000000000000000f03f"
            "0000000000000000");
}

TEST(FeatureSchema, BytesComeBackAsTheSameSchema) {
  const Bytes bytes = schema().to_bytes();
  const auto parsed = FeatureSchema::parse(bytes);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->fingerprint(), schema().fingerprint());
  EXPECT_EQ(parsed->to_bytes(), bytes);
}

TEST(FeatureSchema, DamagedBytesAreCorruptOrAnotherSchemaButNeverTheSame) {
  const Bytes good = schema().to_bytes();
  for (std::size_t n = 0; n < good.size(); ++n)
    EXPECT_EQ(FeatureSchema::parse(ByteSpan(good).first(n)).error().code, ErrorCode::kCorrupt) << n;
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_EQ(FeatureSchema::parse(longer).error().code, ErrorCode::kCorrupt);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    const auto parsed = FeatureSchema::parse(bad);
    if (!parsed)
      EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
    else
      EXPECT_NE(parsed->fingerprint(), schema().fingerprint()) << bit;
  }
}

}  // namespace
}  // namespace inkling
