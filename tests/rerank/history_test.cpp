#include "rerank/history.h"

#include <gmock/gmock.h>

#include <cmath>

#include "runtime/base/rng.h"

namespace inkling {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

FeatureSchema base_schema() {
  return *FeatureSchema::create(
      1, {{.name = "brand", .kind = FeatureKind::kCategory, .categories = {"a", "b", "c"}},
          {.name = "price"},
          {.name = "genre/war"},
          {.name = "genre/drama"}});
}

TastePrior prior(std::size_t width) {
  TastePrior p{.mean = std::vector<double>(width, 0.1),
               .covariance = std::vector<double>(width * width, 0.0)};
  for (std::size_t i = 0; i < width; ++i) p.covariance[i * (width + 1)] = 0.5;
  return p;
}

HistoryLayout layout() {
  return *HistoryLayout::create(base_schema(), {.taste = prior(base_schema().width())});
}

struct Request {
  std::vector<Candidate> candidates;
  std::vector<std::size_t> chosen;
};

std::vector<Request> random_requests(std::size_t count, std::uint64_t seed) {
  Rng rng(seed, "requests");
  std::vector<Request> requests(count);
  for (Request& r : requests) {
    for (int i = 0; i < 4; ++i) {
      const char* brands[] = {"a", "b", "c", "unheard of"};
      r.candidates.push_back({.item = rng.below(6),
                              .features = {{"brand", brands[rng.below(4)]},
                                           {"price", rng.normal()},
                                           {"genre/war", rng.uniform()},
                                           {"genre/drama", rng.uniform()}}});
    }
    for (std::size_t i = 0; i < r.candidates.size(); ++i)
      if (rng.below(3) == 0) r.chosen.push_back(i);
  }
  return requests;
}

void observe(History& history, const Request& r) {
  std::vector<ItemId> items;
  for (const Candidate& c : r.candidates) items.push_back(c.item);
  ASSERT_TRUE(history.observe(items, *history.layout().base().encode(r.candidates), r.chosen));
}

std::size_t column(std::string_view name) {
  const auto names = layout().schema().column_names();
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i].starts_with(name)) return i;
  ADD_FAILURE() << name;
  return 0;
}

// Each column again from its definition, over the whole past at once.
struct Recomputed {
  std::vector<std::vector<float>> shown, chosen;
  std::vector<ItemId> shown_items, chosen_items;

  void add(const Request& r) {
    const FeatureSchema schema = base_schema();
    for (const Candidate& c : r.candidates) {
      shown.push_back(*schema.encode(std::span(&c, 1)));
      shown_items.push_back(c.item);
    }
    for (const std::size_t i : r.chosen) {
      chosen.push_back(*schema.encode(std::span(&r.candidates[i], 1)));
      chosen_items.push_back(r.candidates[i].item);
    }
  }
  static double mean(const std::vector<std::vector<float>>& rows, std::size_t c) {
    double total = 0;
    for (const auto& row : rows) total += static_cast<double>(row[c]);
    return rows.empty() ? 0 : total / static_cast<double>(rows.size());
  }
  double decayed(std::size_t c, double keep) const {
    double total = 0;
    for (std::size_t i = 0; i < chosen.size(); ++i)
      total += std::pow(keep, static_cast<double>(chosen.size() - 1 - i)) *
               static_cast<double>(chosen[i][c]);
    return total;
  }
  double decayed_count(double keep) const {
    double total = 0;
    for (std::size_t i = 0; i < chosen.size(); ++i) total += std::pow(keep, static_cast<double>(i));
    return total;
  }
};

TEST(History, IncrementalColumnsEqualAFullRecomputation) {
  History history(layout());
  Recomputed all;
  const HistoryOptions& o = history.layout().options();
  const std::size_t width = history.layout().schema().width();
  for (const Request& r : random_requests(60, 1)) {
    const auto rows = *history.encode(r.candidates);
    const auto n = static_cast<double>(all.chosen.size());
    for (std::size_t i = 0; i < r.candidates.size(); ++i) {
      const auto row = std::span(rows).subspan(i * width, width);
      const auto got = [&](std::string_view name) {
        return static_cast<double>(row[column(name)]);
      };
      std::size_t brand = 0;
      while (row[brand] == 0) ++brand;
      const double mine = n * Recomputed::mean(all.chosen, brand);
      EXPECT_NEAR(got("history:brand share"), std::log((mine + o.prior / 4) / (n + o.prior) * 4),
                  1e-5);
      EXPECT_NEAR(got("history:brand fast"),
                  all.decayed(brand, o.fast) / (all.decayed_count(o.fast) + o.prior), 1e-5);
      double genre = 0;
      for (const std::size_t c : {column("genre/war"), column("genre/drama")})
        genre += static_cast<double>(row[c]) *
                 (Recomputed::mean(all.chosen, c) - Recomputed::mean(all.shown, c));
      EXPECT_NEAR(got("history:genre profile"), n > 0 ? genre * n / (n + 2) : 0, 1e-5);
      const ItemId item = r.candidates[i].item;
      EXPECT_NEAR(got("history:item choices"),
                  std::log1p(std::count(all.chosen_items.begin(), all.chosen_items.end(), item)),
                  1e-5);
      EXPECT_NEAR(got("history:item shown"),
                  std::log1p(std::count(all.shown_items.begin(), all.shown_items.end(), item)),
                  1e-5);
    }
    observe(history, r);
    all.add(r);
  }
}

TEST(History, ASnapshotGoesOnWhereItStands) {
  const auto requests = random_requests(30, 2);
  History whole(layout()), first(layout());
  for (std::size_t i = 0; i < 20; ++i) observe(first, requests[i]);
  auto second = History::parse(layout(), first.to_bytes());
  ASSERT_TRUE(second) << second.error().message;
  for (std::size_t i = 20; i < 30; ++i) observe(*second, requests[i]);
  for (const Request& r : requests) observe(whole, r);
  EXPECT_EQ(second->to_bytes(), whole.to_bytes());
  EXPECT_EQ(*second->encode(requests[3].candidates), *whole.encode(requests[3].candidates));
}

TEST(History, DamagedSnapshotsAreRefused) {
  History history(layout());
  for (const Request& r : random_requests(5, 3)) observe(history, r);
  const Bytes good = history.to_bytes();
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(History::parse(layout(), ByteSpan(good).first(size)));
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_EQ(History::parse(layout(), longer).error().code, ErrorCode::kCorrupt);
  const auto other = HistoryLayout::create(base_schema(), {.fast = 0.4});
  EXPECT_EQ(History::parse(*other, good).error().code, ErrorCode::kVerification);
}

TEST(History, TheFingerprintCoversOptionsAndPrior) {
  TastePrior other = prior(base_schema().width());
  other.mean[0] += 1e-9;
  const std::uint64_t print = layout().schema().fingerprint();
  EXPECT_NE(print, HistoryLayout::create(base_schema(), {.taste = other})->schema().fingerprint());
  EXPECT_NE(print, HistoryLayout::create(base_schema())->schema().fingerprint());
  const auto parsed = HistoryLayout::parse(layout().to_bytes());
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->schema().fingerprint(), print);
}

TEST(History, LoggedRowsAreCompletedAsTheirCandidatesAreEncoded) {
  History history(layout());
  for (const Request& r : random_requests(20, 8)) {
    std::vector<ItemId> items;
    for (const Candidate& c : r.candidates) items.push_back(c.item);
    const auto base = *history.layout().base().encode(r.candidates);
    const auto expected = *history.encode(r.candidates);
    std::vector<float> rows(expected.size());
    ASSERT_TRUE(history.complete(items, base, rows));
    EXPECT_EQ(rows, expected);
    EXPECT_FALSE(history.complete(items, std::span(base).first(3), rows));
    EXPECT_FALSE(history.complete(items, base, std::span(rows).first(3)));
    observe(history, r);
  }
}

TEST(History, WhatCannotBeIsRefused) {
  EXPECT_FALSE(HistoryLayout::create(base_schema(), {.fast = 1}));
  EXPECT_FALSE(HistoryLayout::create(base_schema(), {.prior = 0}));
  EXPECT_THAT(HistoryLayout::create(base_schema(), {.taste = prior(3)}).error().message,
              HasSubstr("a taste of 3 columns"));
  TastePrior bad = prior(base_schema().width());
  bad.covariance[0] = -1;
  EXPECT_THAT(HistoryLayout::create(base_schema(), {.taste = bad}).error().message,
              HasSubstr("positive definite"));
  History history(layout());
  const std::vector<ItemId> items = {1};
  EXPECT_FALSE(history.observe(items, std::vector<float>(2), {}));
  const std::vector<std::size_t> beyond = {1};
  EXPECT_FALSE(history.observe(items, std::vector<float>(base_schema().width()), beyond));
}

TEST(History, ItemsAreForgottenBeyondTheCap) {
  History history(*HistoryLayout::create(*FeatureSchema::create(1, {{.name = "x"}})));
  const std::vector<float> row = {1};
  for (ItemId item = 0; item <= kHistoryItemsMax; ++item) {
    const std::vector<ItemId> items = {item};
    ASSERT_TRUE(history.observe(items, row, {}));
  }
  EXPECT_LT(history.to_bytes().size(), kHistoryItemsMax * 48);  // half of the items are gone
  EXPECT_EQ(history.shown_count(), kHistoryItemsMax + 1);
}

}  // namespace
}  // namespace inkling
