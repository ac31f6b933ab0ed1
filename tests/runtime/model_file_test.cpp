#include <gtest/gtest.h>
#include <unistd.h>

#include "runtime/model.h"
#include "runtime/ops.h"
#include "tests/runtime/support.h"

namespace inkling {
namespace {

Model small_model() {
  Rng rng(4, "weights");
  Model model;
  Graph& g = model.graph;
  const ValueId x = g.input("image", {DType::kF32, {1, 6, 6, 3}});
  const ValueId w = g.constant(test::random_tensor({DType::kF32, {3, 3, 3, 4}}, rng));
  const ValueId v = g.variable("head", test::random_tensor({DType::kF32, {64, 5}}, rng));
  const ValueId y = relu6(g, conv2d(g, x, w, {}));
  g.label(y, "features");
  const ValueId logits = matmul(g, reshape(g, y, {1, 64}), v);
  g.output("logits", logits);
  g.update(v, scale(g, v, 0.5));
  model.metadata = {{"labels", "a,b,c,d,e"}, {"producer", "a test"}};
  return model;
}

std::shared_ptr<const Bytes> encoded() {
  auto bytes = encode_model(small_model());
  EXPECT_TRUE(bytes) << bytes.error().message;
  return std::make_shared<const Bytes>(std::move(*bytes));
}

TEST(ModelFile, RoundTripsGraphWeightsNamesAndMetadata) {
  const auto bytes = encoded();
  const auto model = decode_model(*bytes, bytes);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->metadata, small_model().metadata);
  EXPECT_EQ(model->graph.updates().size(), 1u);
  EXPECT_EQ(test::run(model->graph, {}, 1), test::run(small_model().graph, {}, 1));
  const auto again = encode_model(*model);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *bytes);  // the same model is the same bytes
}

TEST(ModelFile, WeightsAreUsedWhereTheyLie) {
  const Path path =
      std::filesystem::temp_directory_path() / concat("inkling_model_", ::getpid(), ".ink");
  ASSERT_TRUE(save_model(small_model(), path));
  const auto model = open_model(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(model) << model.error().message;
  for (const Value& value : model->graph.values()) {
    if (value.tensor && value.spec.bytes() > 64) {
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(value.tensor->raw()) % kTensorAlignment, 0u);
    }
  }
  EXPECT_EQ(test::run(model->graph, {}, 2), test::run(small_model().graph, {}, 2));
}

TEST(ModelFile, RefusesEveryFlippedBit) {
  const auto bytes = encoded();
  Bytes changed = *bytes;
  for (std::size_t i = 0; i < 8 * changed.size(); ++i) {
    const std::uint8_t bit = static_cast<std::uint8_t>(1u << (i % 8));
    changed[i / 8] ^= bit;
    const auto model = decode_model(changed, nullptr);
    ASSERT_FALSE(model) << "byte " << i / 8;
    EXPECT_TRUE(model.error().code == ErrorCode::kCorrupt ||
                model.error().code == ErrorCode::kUnsupported);
    changed[i / 8] ^= bit;
  }
}

TEST(ModelFile, RefusesEveryTruncationAndTrailingBytes) {
  const auto bytes = encoded();
  for (std::size_t n = 0; n < bytes->size(); n += 1 + n / 50) {
    EXPECT_EQ(decode_model(ByteSpan(*bytes).first(n), nullptr).error().code, ErrorCode::kCorrupt)
        << n;
  }
  Bytes longer = *bytes;
  longer.push_back(0);
  EXPECT_EQ(decode_model(longer, nullptr).error().code, ErrorCode::kCorrupt);
}

// A forger can make the digest fit: the structure must then stand on its own.
TEST(ModelFile, SurvivesForgedStructures) {
  const auto bytes = encoded();
  std::size_t accepted = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    Rng rng(seed, "forgery");
    Bytes forged = *bytes;
    const std::size_t graph_end = 128 + ByteReader(ByteSpan(forged).subspan(16, 8)).u64();
    for (std::uint64_t i = 1 + rng.below(3); i-- > 0;) {
      forged[128 + rng.below(graph_end - 128)] = static_cast<std::uint8_t>(rng.next_u32());
    }
    std::fill_n(forged.begin() + 40, 32, std::uint8_t{0});
    const Sha256Digest digest = sha256(forged);
    std::copy(digest.begin(), digest.end(), forged.begin() + 40);
    const auto model = decode_model(forged, nullptr);
    accepted += model.has_value();
    if (model && model->graph.values().size() < 100) (void)encode_model(*model);
  }
  EXPECT_GT(accepted, 0u);  // most changes are harmless names and numbers; none may crash
}

TEST(ModelFile, RefusesANewerVersionByName) {
  const auto bytes = encoded();
  Bytes newer = *bytes;
  newer[8] = 2;
  const auto model = decode_model(newer, nullptr);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(model.error().message, "model: file version 2, this build reads up to 1");
}

}  // namespace
}  // namespace inkling
