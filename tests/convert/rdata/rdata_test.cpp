#include "convert/rdata/rdata.h"

#include <gmock/gmock.h>

#include <bit>
#include <cmath>

#include "runtime/base/rng.h"

namespace inkling {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Path kData = "/usr/lib/R/site-library/bayesm/data";

// Writes XDR serialisation by hand.
class Writer {
 public:
  Writer& u32(std::uint32_t v) {
    for (int shift = 24; shift >= 0; shift -= 8)
      bytes_.push_back(static_cast<std::uint8_t>(v >> shift));
    return *this;
  }
  Writer& real(double v) {
    const auto bits = std::bit_cast<std::uint64_t>(v);
    return u32(static_cast<std::uint32_t>(bits >> 32)).u32(static_cast<std::uint32_t>(bits));
  }
  Writer& text(std::string_view t) {
    for (const char c : t) bytes_.push_back(static_cast<std::uint8_t>(c));
    return *this;
  }
  Writer& header(std::uint32_t version = 2) {
    return text("X\n").u32(version).u32(0x40202).u32(0x20300);
  }
  Writer& chars(std::string_view t) {
    return u32(9).u32(static_cast<std::uint32_t>(t.size())).text(t);
  }
  Writer& symbol(std::string_view t) { return u32(1).chars(t); }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

constexpr std::uint32_t kNull = 254, kPairTagged = 0x402, kAttributes = 0x200;

Result<RValue> parsed(const Writer& w) { return parse_rdata(w.bytes()); }

TEST(Rdata, ReadsEveryVector) {
  const auto list = parsed(Writer()
                               .header()
                               .u32(19)
                               .u32(7)
                               .u32(13)
                               .u32(2)
                               .u32(5)
                               .u32(0x80000000)
                               .u32(10)
                               .u32(3)
                               .u32(1)
                               .u32(0)
                               .u32(0x80000000)
                               .u32(14)
                               .u32(2)
                               .real(-0.5)
                               .u32(0x7ff00000)
                               .u32(1954)
                               .u32(16)
                               .u32(2)
                               .chars("hi")
                               .u32(9)
                               .u32(0xffffffff)
                               .u32(24)
                               .u32(3)
                               .text("raw")
                               .u32(15)
                               .u32(1)
                               .real(1)
                               .real(2)
                               .u32(kNull));
  ASSERT_TRUE(list) << list.error().message;
  const auto v = *list->elements();
  EXPECT_THAT(std::get<RIntegers>(v[0].data).values, ElementsAre(5, kRIntegerNa));
  EXPECT_THAT(std::get<RLogicals>(v[1].data).values, ElementsAre(1, 0, kRIntegerNa));
  EXPECT_EQ(std::get<RDoubles>(v[2].data).values[0], -0.5);
  EXPECT_TRUE(is_r_na(std::get<RDoubles>(v[2].data).values[1]));
  EXPECT_FALSE(is_r_na(NAN));
  EXPECT_THAT(std::get<RStrings>(v[3].data).values, ElementsAre("hi", std::nullopt));
  EXPECT_EQ(as_text(std::get<RRaw>(v[4].data).values), "raw");
  EXPECT_THAT(std::get<RComplexes>(v[5].data).values, ElementsAre(1, 2));
  EXPECT_EQ(v[6].kind(), "NULL");
  EXPECT_TRUE(std::isnan(v[0].numbers()->at(1)));
  EXPECT_EQ(v[0].whole_numbers().error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(v[2].whole_numbers().error().message, HasSubstr("element 0 is -0.5"));
  EXPECT_THAT(v[3].numbers().error().message, HasSubstr("character, expected numbers"));
}

TEST(Rdata, ReadsNamesThroughReferencesInAnRdaFile) {
  const auto saved = parse_rdata(Writer()
                                     .text("RDX3\n")
                                     .header(3)
                                     .u32(5)
                                     .text("UTF-8")
                                     .u32(kPairTagged)
                                     .symbol("a")
                                     .u32(13 | kAttributes)
                                     .u32(1)
                                     .u32(7)
                                     .u32(kPairTagged)
                                     .symbol("dim")
                                     .u32(13)
                                     .u32(2)
                                     .u32(1)
                                     .u32(1)
                                     .u32(kNull)
                                     .u32(kPairTagged)
                                     .u32(2 << 8 | 255)  // the symbol "dim" again
                                     .u32(14)
                                     .u32(1)
                                     .real(2)
                                     .u32(kNull)
                                     .bytes());
  ASSERT_TRUE(saved) << saved.error().message;
  EXPECT_THAT(saved->names(), ElementsAre("a", "dim"));
  const auto a = saved->field("a");
  ASSERT_TRUE(a);
  EXPECT_EQ((*a)->matrix_extent()->rows, 1u);
  EXPECT_THAT(saved->field("b").error().message, HasSubstr("no member b, it has a, dim"));
  EXPECT_THAT((*saved->field("dim"))->matrix_extent().error().message, HasSubstr("without dim"));
}

TEST(Rdata, ReadsCompactSequencesAndWrappers) {
  const auto compact = [](std::string_view name, double count, double first, double step) {
    return parsed(Writer()
                      .header(3)
                      .u32(5)
                      .text("UTF-8")
                      .u32(238)
                      .u32(2)
                      .symbol(name)
                      .u32(kNull)
                      .u32(14)
                      .u32(3)
                      .real(count)
                      .real(first)
                      .real(step)
                      .u32(kNull));
  };
  const auto whole = compact("compact_intseq", 3, 5, -1);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_THAT(std::get<RIntegers>(whole->data).values, ElementsAre(5, 4, 3));
  EXPECT_THAT(*compact("compact_realseq", 2, 0.5, 1)->numbers(), ElementsAre(0.5, 1.5));
  EXPECT_FALSE(compact("compact_intseq", 1e12, 0, 1));
  EXPECT_FALSE(compact("compact_intseq", NAN, 0, 1));
  EXPECT_FALSE(compact("compact_intseq", 2, 4e9, 1));
  EXPECT_EQ(compact("mmap_real", 1, 1, 1).error().code, ErrorCode::kUnsupported);
  const auto wrapped = parsed(Writer()
                                  .header(3)
                                  .u32(5)
                                  .text("UTF-8")
                                  .u32(238)
                                  .u32(2)
                                  .symbol("wrap_integer")
                                  .u32(kNull)
                                  .u32(19)
                                  .u32(2)
                                  .u32(13)
                                  .u32(1)
                                  .u32(9)
                                  .u32(13)
                                  .u32(2)
                                  .u32(0)
                                  .u32(0)
                                  .u32(kNull));
  ASSERT_TRUE(wrapped) << wrapped.error().message;
  EXPECT_THAT(*wrapped->numbers(), ElementsAre(9));
}

TEST(Rdata, ReadsDeferredStringsFromADottedPair) {
  const auto strings = parsed(Writer()
                                  .header(3)
                                  .u32(5)
                                  .text("UTF-8")
                                  .u32(238)
                                  .u32(2)
                                  .symbol("deferred_string")
                                  .u32(kNull)
                                  .u32(2)
                                  .u32(13)
                                  .u32(2)
                                  .u32(12)
                                  .u32(0x80000000)
                                  .u32(13)
                                  .u32(1)
                                  .u32(0)
                                  .u32(kNull));
  ASSERT_TRUE(strings) << strings.error().message;
  EXPECT_THAT(std::get<RStrings>(strings->data).values, ElementsAre("12", std::nullopt));
}

TEST(Rdata, SaysWhatAndWhereItRefuses) {
  const auto message = [](const Writer& w) { return parsed(w).error().message; };
  EXPECT_THAT(message(Writer().text("A\n1\n")), HasSubstr("not a serialisation in XDR format"));
  EXPECT_THAT(message(Writer().header(4)), HasSubstr("version 4, expected 2 or 3"));
  EXPECT_THAT(message(Writer().header().u32(21)), HasSubstr("type 21"));
  EXPECT_THAT(message(Writer().header().u32(14).u32(0x7fffffff)),
              HasSubstr("a vector of 2147483647 elements, 0 bytes left"));
  EXPECT_THAT(message(Writer().header().u32(13).u32(0xffffffff)), HasSubstr("a vector of -1"));
  EXPECT_THAT(message(Writer().header().u32(1 << 8 | 255)), HasSubstr("reference 1 of 0"));
  EXPECT_THAT(message(Writer().header().u32(kNull).u32(0)), HasSubstr("byte 18: 4 trailing bytes"));
}

TEST(Rdata, TheDepthLimitHoldsAtItsBorder) {
  const auto nested = [](int lists) {
    Writer w;
    w.header();
    for (int i = 0; i < lists; ++i) w.u32(19).u32(1);
    return parsed(w.u32(kNull));
  };
  const RLimits limits;
  EXPECT_TRUE(nested(limits.depth_max));
  EXPECT_EQ(nested(limits.depth_max + 1).error().code, ErrorCode::kResourceLimit);
  EXPECT_EQ(nested(1'000'000).error().code, ErrorCode::kResourceLimit);
}

TEST(Rdata, TheMemoryLimitHoldsAtItsBorder) {
  Writer w;
  w.header().u32(14).u32(100);
  for (int i = 0; i < 100; ++i) w.real(i);
  EXPECT_TRUE(parse_rdata(w.bytes(), {.memory_bytes_max = 800}));
  EXPECT_EQ(parse_rdata(w.bytes(), {.memory_bytes_max = 799}).error().code,
            ErrorCode::kResourceLimit);
  EXPECT_TRUE(parse_rdata(w.bytes(), {.file_bytes_max = w.bytes().size()}));
  EXPECT_EQ(parse_rdata(w.bytes(), {.file_bytes_max = w.bytes().size() - 1}).error().code,
            ErrorCode::kResourceLimit);
}

TEST(Rdata, DamagedFilesNeverCrashAndTruncatedOnesAreRefused) {
  Writer w;
  w.header().u32(19 | kAttributes).u32(3);
  w.u32(13 | kAttributes).u32(2).u32(1).u32(2);
  w.u32(kPairTagged).symbol("levels").u32(16).u32(2).chars("no").chars("yes").u32(kNull);
  w.u32(4).u32(0).u32(253).u32(kNull).u32(kNull).u32(kNull);  // an environment
  w.u32(6).symbol("f").u32(2).u32(2 << 8 | 255).u32(kNull);   // the call f(<environment>)
  w.u32(kPairTagged).symbol("names").u32(16).u32(3).chars("a").chars("e").chars("l").u32(kNull);
  const Bytes good = w.bytes();
  const auto value = parse_rdata(good);
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_THAT(value->names(), ElementsAre("a", "e", "l"));
  EXPECT_NE((*value->field("a"))->attribute("levels"), nullptr);
  EXPECT_EQ((*value->field("e"))->kind(), "opaque");
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(parse_rdata(ByteSpan(good).first(n)));
  Rng rng(7, "rdata");
  int refused = 0;
  for (int trial = 0; trial < 5000; ++trial) {
    Bytes bad = good;
    for (auto flips = 1 + rng.below(4); flips > 0; --flips)
      bad[static_cast<std::size_t>(rng.below(bad.size()))] ^=
          static_cast<std::uint8_t>(1u << rng.below(8));
    if (!parse_rdata(bad)) ++refused;
  }
  EXPECT_GT(refused, 1000);
}

class PackagedRdata : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kData)) GTEST_SKIP() << "no bayesm: apt install r-cran-bayesm";
  }
};

TEST_F(PackagedRdata, ReadsEveryFileOfBayesm) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kData)) {
    const auto value = read_rdata(entry.path());
    ASSERT_TRUE(value) << value.error().message;
    EXPECT_TRUE(value->field(entry.path().stem().string())) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 9);  // gzip, bzip2 and xz are all among them
}

TEST_F(PackagedRdata, ReadsTheMargarineTable) {
  const auto value = read_rdata(kData / "margarine.rda");
  ASSERT_TRUE(value) << value.error().message;
  const RValue* margarine = *value->field("margarine");
  const RValue* prices = *margarine->field("choicePrice");
  EXPECT_THAT(prices->names(),
              ElementsAre("hhid", "choice", "PPk_Stk", "PBB_Stk", "PFl_Stk", "PHse_Stk", "PGen_Stk",
                          "PImp_Stk", "PSS_Tub", "PPk_Tub", "PFl_Tub", "PHse_Tub"));
  const auto households = *(*prices->field("hhid"))->whole_numbers();
  EXPECT_EQ(households.size(), 4470u);
  EXPECT_EQ(households[0], 2100016);
  EXPECT_EQ((*prices->field("PPk_Stk"))->numbers()->at(2), 0.29);
  const RValue* kind = prices->attribute("class");
  ASSERT_NE(kind, nullptr);
  EXPECT_THAT(std::get<RStrings>(kind->data).values, ElementsAre("data.frame"));
}

TEST_F(PackagedRdata, ATruncatedOrDamagedFileIsRefusedInOneLine) {
  for (const char* name : {"camera.RData", "Scotch.rda", "margarine.rda"}) {
    const Bytes good = *read_file(kData / name);
    const auto half = parse_rdata(ByteSpan(good).first(good.size() / 2));
    ASSERT_FALSE(half) << name;
    EXPECT_EQ(half.error().code, ErrorCode::kCorrupt) << half.error().message;
    EXPECT_EQ(half.error().message.find('\n'), std::string::npos);
    Bytes bad = good;
    bad[bad.size() / 2] ^= 0x10;
    EXPECT_FALSE(parse_rdata(bad)) << name;
    EXPECT_EQ(parse_rdata(good, {.file_bytes_max = 4096}).error().code, ErrorCode::kResourceLimit);
  }
}

}  // namespace
}  // namespace inkling
