#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server-sim/pki/authority.h"
#include "server-sim/pki/certificate.h"

namespace inkling {
namespace {

constexpr std::int64_t kNowMs = 1'700'000'000'000;

class AuthorityTest : public ::testing::Test {
 protected:
  void SetUp() override {
    spec_.folder = std::filesystem::temp_directory_path() / concat("inkling_pki_", ::getpid());
    spec_.hosts = {"localhost", "127.0.0.1", "::1"};
    spec_.now_unix_ms = kNowMs;
  }
  void TearDown() override { std::filesystem::remove_all(spec_.folder); }
  AuthoritySpec spec_;
};

TEST_F(AuthorityTest, WritesEveryFileForItsOwnerAlone) {
  const auto files = create_authority(spec_);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(*files, authority_files(spec_.folder));
  for (const Path& file : *files) {
    struct stat info {};
    ASSERT_EQ(::stat(file.c_str(), &info), 0) << file;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << file;
  }
  const auto identity = read_file(spec_.folder / "identity.pub");
  EXPECT_EQ(as_text(*identity).substr(0, 26), "-----BEGIN PUBLIC KEY-----");
}

TEST_F(AuthorityTest, KeepsWhatIsThereUnlessToldToOverwrite) {
  ASSERT_TRUE(create_authority(spec_));
  const Bytes before = *read_file(spec_.folder / "tls-ca.key");
  std::filesystem::remove(spec_.folder / "identity.key");
  const auto refused = create_authority(spec_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(*read_file(spec_.folder / "tls-ca.key"), before);
  EXPECT_FALSE(std::filesystem::exists(spec_.folder / "identity.key"));
  spec_.overwrite = true;
  EXPECT_TRUE(create_authority(spec_));
  EXPECT_NE(*read_file(spec_.folder / "tls-ca.key"), before);
}

TEST_F(AuthorityTest, RefusesBadHostsAndDaysBeforeWritingAnything) {
  for (const char* host : {"", "a b", "evil,DNS:other.example", "-x", ".x", "a\n", "*"}) {
    spec_.hosts = {"localhost", host};
    const auto made = create_authority(spec_);
    ASSERT_FALSE(made) << host;
    EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
  }
  spec_.hosts = {};
  EXPECT_EQ(create_authority(spec_).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(spec_.folder));
}

TEST(Validity, HoldsOneToTheMaximumOfDays) {
  EXPECT_FALSE(valid_for_days(kNowMs, 0));
  EXPECT_TRUE(valid_for_days(kNowMs, 1));
  EXPECT_TRUE(valid_for_days(kNowMs, kValidDaysMax));
  EXPECT_FALSE(valid_for_days(kNowMs, kValidDaysMax + 1));
  EXPECT_EQ(valid_for_days(kNowMs, 2)->not_after_s, kNowMs / 1000 + 2 * 86400);
}

TEST(CertificatePin, NamesTheKeyAndNothingElse) {
  const Validity validity = *valid_for_days(kNowMs, 1);
  const auto authority = make_tls_authority("one", validity);
  const auto other = make_tls_authority("one", validity);
  EXPECT_EQ(certificate_pin(authority->certificate_pem)->size(), 7u + 64u);
  EXPECT_NE(*certificate_pin(authority->certificate_pem), *certificate_pin(other->certificate_pem));
  EXPECT_EQ(certificate_pin("not a certificate").error().code, ErrorCode::kCorrupt);
}

TEST(ServerCertificate, NeedsAnAuthorityThatParses) {
  const Validity validity = *valid_for_days(kNowMs, 1);
  EXPECT_EQ(issue_server_certificate({}, {"localhost"}, validity).error().code,
            ErrorCode::kCorrupt);
}

TEST(SecretText, IsEmptyAfterItMoved) {
  SecretText from(std::string("key"));
  const SecretText to = std::move(from);
  EXPECT_EQ(to.reveal(), "key");
  EXPECT_EQ(from.reveal(), "");  // NOLINT(bugprone-use-after-move): the claim under test
}

}  // namespace
}  // namespace inkling
