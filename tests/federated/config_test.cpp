#include "federated/secagg/config.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace inkling::secagg {
namespace {

TEST(Config, RoundTripsAndRefusesOtherSizes) {
  Config config{.n_min = 3, .n_max = 7, .gamma_ppm = 100000, .mode = Mode::kStrict};
  config.dimension = 1000;
  config.rotate = true;
  config.rotation_block = 64;
  const Bytes bytes = encode_config(config);
  const auto back = decode_config(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(encode_config(*back), bytes);
  EXPECT_EQ(back->ring_dimension(), 1024u);
  EXPECT_EQ(back->masked_length(), 1026u);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_config(ByteSpan(bytes).first(size))) << size;
  }
  Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(decode_config(longer));
}

TEST(Config, EachLimitIsCheckedAtItsBorder) {
  struct Row {
    const char* name;
    std::function<void(Config&)> good, bad;
  };
  const std::vector<Row> rows = {
      {"n_min", [](Config& c) { c.n_min = 2; }, [](Config& c) { c.n_min = 1; }},
      {"n_max below n_min", [](Config& c) { c.n_max = c.n_min; },
       [](Config& c) { c.n_max = c.n_min - 1; }},
      {"n_max", [](Config& c) { c.n_max = kCohortMax; },
       [](Config& c) { c.n_max = kCohortMax + 1; }},
      {"gamma", [](Config& c) { c.gamma_ppm = kPpm - 1; }, [](Config& c) { c.gamma_ppm = kPpm; }},
      {"delta", [](Config& c) { c.delta_ppm = kPpm - 1; }, [](Config& c) { c.delta_ppm = kPpm; }},
      {"mode", [](Config& c) { c.mode = Mode(3); }, [](Config& c) { c.mode = Mode(4); }},
      {"suite", [](Config& c) { c.suite = Suite(1); }, [](Config& c) { c.suite = Suite(0); }},
      {"bits high", [](Config& c) { c.ring_bits = 62; }, [](Config& c) { c.ring_bits = 63; }},
      {"dimension", [](Config& c) { c.dimension = kDimensionMax; },
       [](Config& c) { c.dimension = kDimensionMax + 1; }},
      {"dimension low", [](Config& c) { c.dimension = 1; }, [](Config& c) { c.dimension = 0; }},
      {"metrics", [](Config& c) { c.metrics = 64; }, [](Config& c) { c.metrics = 65; }},
      {"scale", [](Config& c) { c.scale = 2; },
       [](Config& c) { c.scale = std::numeric_limits<double>::quiet_NaN(); }},
      {"block", [](Config& c) { c.rotation_block = 16; }, [](Config& c) { c.rotation_block = 48; }},
      {"uniform weight", [](Config& c) { c.weight_max = 1; }, [](Config& c) { c.weight_max = 2; }},
      {"noise",
       [](Config& c) {
         c.noise = Noise::kSkellam;
         c.noise_sigma = kNoiseSigmaMin;
       },
       [](Config& c) {
         c.noise = Noise::kSkellam;
         c.noise_sigma = 2.9;
       }},
      {"noise without noise", [](Config& c) { c.noise_sigma = 0; },
       [](Config& c) { c.noise_sigma = 3; }},
      {"noise and metrics",
       [](Config& c) {
         c.noise = Noise::kDiscreteGaussian;
         c.noise_sigma = 5;
       },
       [](Config& c) {
         c.noise = Noise::kDiscreteGaussian;
         c.noise_sigma = 5;
         c.metrics = 1;
       }},
      {"noise and ring",
       [](Config& c) {
         c.noise = Noise::kDiscreteGaussian;
         c.noise_sigma = kNoiseSigmaMax;
       },
       [](Config& c) {
         c.noise = Noise::kDiscreteGaussian;
         c.noise_sigma = kNoiseSigmaMax;
         c.ring_bits = 27;
       }},
      {"phase", [](Config& c) { c.phase_ms[4] = 1; }, [](Config& c) { c.phase_ms[4] = 0; }},
      // 100 clients of magnitude 2^24 need more than half a 32-bit ring; of 2^24 - ... do not.
      {"ring", [](Config& c) { c.scale = 21474836; }, [](Config& c) { c.scale = 21474837; }}};
  for (const Row& row : rows) {
    Config good, bad;
    row.good(good);
    row.bad(bad);
    EXPECT_TRUE(check_config(good)) << row.name;
    const auto status = check_config(bad);
    ASSERT_FALSE(status) << row.name;
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(Config, ContextChangesWithEveryField) {
  const Bytes config = encode_config(Config{});
  const RoundIdentity id;
  std::vector<Hash> seen = {context_of(id, config)};
  const auto expect_new = [&](const Hash& ctx) {
    EXPECT_EQ(std::count(seen.begin(), seen.end(), ctx), 0);
    seen.push_back(ctx);
  };
  const std::vector<std::function<void(RoundIdentity&)>> changes = {[](RoundIdentity& r) { r.task[0] = 1; },
                                                                    [](RoundIdentity& r) { r.attempt.round = 1; },
                                                                    [](RoundIdentity& r) { r.attempt.attempt = 1; },
                                                                    [](RoundIdentity& r) { r.plan_hash[3] = 1; },
                                                                    [](RoundIdentity& r) { r.model_hash[3] = 1; },
                                                                    [](RoundIdentity& r) { r.server_nonce[3] = 1; }};
  for (const auto& change : changes) {
    RoundIdentity other = id;
    change(other);
    expect_new(context_of(other, config));
  }
  Config other;
  other.n_min = 3;
  expect_new(context_of(id, encode_config(other)));
}

}  // namespace
}  // namespace inkling::secagg
