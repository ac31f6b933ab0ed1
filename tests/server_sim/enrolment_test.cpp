#include "federated/enrolment.h"

#include <gtest/gtest.h>

#include "tests/server_sim/task_world.h"
#include "tests/storage/scratch.h"

namespace inkling {
namespace {

using IdentityFile = ScratchTest;

TEST_F(IdentityFile, ComesBackAsItWasSavedAndIsPrivate) {
  const Path path = folder_ / "identity";
  const auto identity = make_identity(task_authority(), secagg::Role::kClient, device_id(1));
  ASSERT_TRUE(federated::save_identity(identity, path));
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const auto back = federated::load_identity(path).value();
  EXPECT_EQ(back.certificate.id, identity.certificate.id);
  EXPECT_EQ(back.certificate.key, identity.certificate.key);
  EXPECT_EQ(back.certificate.not_after_ms, identity.certificate.not_after_ms);
  EXPECT_EQ(back.certificate.signature, identity.certificate.signature);
  EXPECT_EQ(back.key.public_key(), identity.key.public_key());
}

TEST_F(IdentityFile, IsRefusedWithAnyBitFlippedOrAnyByteMissing) {
  const Path path = folder_ / "identity";
  ASSERT_TRUE(federated::save_identity(
      make_identity(task_authority(), secagg::Role::kClient, device_id(1)), path));
  const Bytes good = read_file(path).value();
  const Path bad_path = folder_ / "bad";
  const auto expect_corrupt = [&](const Bytes& bad, const std::string& what) {
    ASSERT_TRUE(write_file(bad_path, bad));
    const auto loaded = federated::load_identity(bad_path);
    ASSERT_FALSE(loaded) << what;
    EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt) << what;
    EXPECT_EQ(loaded.error().message.find('\n'), std::string::npos);
  };
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    expect_corrupt(bad, concat("bit ", bit));
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    expect_corrupt(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)),
                   concat("cut to ", size));
  }
  Bytes longer = good;
  longer.push_back(0);
  expect_corrupt(longer, "a byte too many");
}

}  // namespace
}  // namespace inkling
