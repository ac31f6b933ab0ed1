#include "tools/npy.h"

#include <gtest/gtest.h>

#include "runtime/base/rng.h"

namespace inkling::tools {
namespace {

// numpy.save of numpy.arange(6, dtype='<f4').reshape(2, 3), byte for byte.
Bytes golden() {
  std::string text("\x93NUMPY\x01\x00\x76\x00", 10);
  text += "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  text.append(127 - text.size(), ' ');
  text += '\n';
  for (const char* value :
       {"\0\0\0\0", "\0\0\x80\x3f", "\0\0\0\x40", "\0\0\x40\x40", "\0\0\x80\x40", "\0\0\xa0\x40"})
    text.append(value, 4);
  return {text.begin(), text.end()};
}

TEST(Npy, ReadsWhatNumPyWrote) {
  const auto tensor = decode_npy(golden());
  ASSERT_TRUE(tensor) << tensor.error().message;
  EXPECT_EQ(tensor->spec(), (TensorSpec{DType::kF32, {2, 3}}));
  EXPECT_EQ(tensor->data<float>()[5], 5.0f);
}

TEST(Npy, GivesBackEveryElementTypeAndRank) {
  for (const DType dtype :
       {DType::kF32, DType::kF64, DType::kF16, DType::kI8, DType::kI16, DType::kI32, DType::kI64,
        DType::kU8, DType::kU16, DType::kU32, DType::kU64, DType::kBool}) {
    for (const Shape& shape : {Shape{}, Shape{4}, Shape{0, 3}, Shape{2, 1, 3}}) {
      Tensor tensor = Tensor::zeros({dtype, shape});
      for (std::size_t i = 0; i < tensor.spec().bytes(); ++i)
        tensor.view().as<std::uint8_t>()[i] = static_cast<std::uint8_t>(i % 2);
      const auto bytes = encode_npy(tensor.view());
      ASSERT_TRUE(bytes);
      const auto back = decode_npy(*bytes);
      ASSERT_TRUE(back) << back.error().message;
      EXPECT_EQ(back->spec(), tensor.spec());
      EXPECT_EQ(0, std::memcmp(back->raw(), tensor.raw(), tensor.spec().bytes()));
    }
  }
  EXPECT_EQ(encode_npy(Tensor::zeros({DType::kBF16, {1}}).view()).error().code,
            ErrorCode::kUnsupported);
}

TEST(Npy, RefusesWhatItCannotTrust) {
  const auto with = [](const std::string& from, const std::string& to) {
    const Bytes good = golden();
    std::string text(good.begin(), good.end());
    text.replace(text.find(from), from.size(), to);
    return decode_npy(as_bytes(text)).error().code;
  };
  EXPECT_EQ(with("NUMPY", "numpy"), ErrorCode::kCorrupt);
  EXPECT_EQ(with("(2, 3)", "(2, 4)"), ErrorCode::kCorrupt);
  EXPECT_EQ(with("(2, 3)", "(2, x)"), ErrorCode::kCorrupt);
  EXPECT_EQ(with("<f4", ">f4"), ErrorCode::kUnsupported);
  EXPECT_EQ(with("False", "True "), ErrorCode::kUnsupported);
  EXPECT_EQ(with("(2, 3)", "(2,-3)"), ErrorCode::kInvalidArgument);
}

TEST(Npy, SurvivesDamage) {
  const Bytes good = golden();
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_npy(ByteSpan(good).first(size)));
  for (std::uint64_t seed = 0; seed < 20000; ++seed) {
    Rng rng(seed, "damage");
    Bytes bad = good;
    for (std::uint64_t i = 1 + rng.below(3); i-- > 0;)
      bad[rng.below(bad.size())] = static_cast<std::uint8_t>(rng.next_u32());
    (void)decode_npy(bad);
  }
}

}  // namespace
}  // namespace inkling::tools
