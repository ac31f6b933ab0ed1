// The device's privacy ledger.

#include "federated/privacy/ledger.h"

#include <gtest/gtest.h>

#include "tests/storage/scratch.h"

namespace inkling::privacy {
namespace {

class LedgerTest : public ScratchTest {
 protected:
  Path path() const { return folder_ / "privacy.sqlite"; }
};

LedgerEntry entry(std::uint64_t round, std::optional<Mechanism> mechanism = Gaussian{}) {
  return {.when_ms = 1000 + std::int64_t(round),
          .task = {7},
          .round = round,
          .attempt = 1,
          .what = "masked update",
          .bytes = 99,
          .cohort_min = 16,
          .mechanism = mechanism};
}

TEST_F(LedgerTest, KeepsEveryKindOfMechanismAcrossRestarts) {
  const std::vector<std::optional<Mechanism>> mechanisms = {
      std::nullopt, Gaussian{.noise_multiplier = 2, .sampling = 0.25},
      DistributedDiscreteGaussian{.sigma = 4, .clients = 30, .l2 = 9, .l1 = 20, .dimension = 70},
      Skellam{.variance = 90, .l2 = 3, .l1 = 5}, Tree{.noise_multiplier = 3, .steps = 20}};
  {
    Ledger ledger = Ledger::open(path()).value();
    std::uint64_t round = 0;
    for (const auto& mechanism : mechanisms) ASSERT_TRUE(ledger.append(entry(++round, mechanism)));
  }
  Ledger ledger = Ledger::open(path()).value();
  const auto entries = ledger.entries().value();
  ASSERT_EQ(entries.size(), mechanisms.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    EXPECT_EQ(entries[i].round, i + 1);
    EXPECT_EQ(entries[i].when_ms, std::int64_t(1001 + i));
    EXPECT_EQ(describe(entries[i].mechanism), describe(mechanisms[i]));
  }
  const auto uses = ledger.uses_of({7}).value();
  EXPECT_TRUE(uses.has_unprotected);
  EXPECT_EQ(uses.accountant.uses().size(), 4u);
  EXPECT_TRUE(ledger.uses_of({8})->accountant.uses().empty());
}

TEST_F(LedgerTest, EntersAnAttemptOnce) {
  Ledger ledger = Ledger::open(path()).value();
  ASSERT_TRUE(ledger.append(entry(3)));
  LedgerEntry again = entry(3);
  again.what = "something else";
  ASSERT_TRUE(ledger.append(again));
  const auto entries = ledger.entries().value();
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].what, "masked update");
  EXPECT_FALSE(ledger.append(entry(4, Gaussian{.noise_multiplier = -1})));
  EXPECT_EQ(ledger.entries()->size(), 1u);
}

TEST_F(LedgerTest, NoticesChangedAndRemovedEntries) {
  for (const char* const damage :
       {"UPDATE entries SET bytes = 1 WHERE id = 2", "DELETE FROM entries WHERE id = 1",
        "UPDATE entries SET what = 'nothing' WHERE id = 1",
        "UPDATE entries SET mechanism = x'' WHERE id = 3"}) {
    std::filesystem::remove(path());
    {
      Ledger ledger = Ledger::open(path()).value();
      for (std::uint64_t round = 1; round <= 3; ++round) ASSERT_TRUE(ledger.append(entry(round)));
    }
    ASSERT_TRUE(Database::open(path())->run(damage));
    const auto opened = Ledger::open(path());
    ASSERT_FALSE(opened) << damage;
    EXPECT_EQ(opened.error().code, ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace inkling::privacy
