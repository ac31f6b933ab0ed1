#pragma once
// The keys and certificates of a deployment: a TLS certificate authority of our own, server
// certificates signed by it, and the Ed25519 identity key that will sign devices and models.
//
// TLS keys are ECDSA on P-256, which every TLS stack and every keystore accepts. Private keys leave
// these functions as PKCS#8 PEM in a SecretText and nowhere else. Functions are pure but for the
// system's random numbers; any thread may call them.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace inkling {

// Text that is wiped when it goes. It moves and is never copied; show it to a file, not to a log.
class SecretText {
 public:
  SecretText() = default;
  explicit SecretText(std::string text) : text_(std::move(text)) {}
  SecretText(SecretText&& other) noexcept : text_(std::move(other.text_)) { other.wipe(); }
  SecretText& operator=(SecretText&& other) noexcept;
  ~SecretText() { wipe(); }
  std::string_view reveal() const { return text_; }

 private:
  void wipe() noexcept;
  std::string text_;
};

// Unix seconds, both ends included (RFC 5280, 4.1.2.5).
struct Validity {
  std::int64_t not_before_s;
  std::int64_t not_after_s;
};

inline constexpr std::int64_t kValidDaysMax = 3650;

// From an hour before now, so that a device whose clock is a little slow can connect at once.
// kInvalidArgument unless days is 1..kValidDaysMax.
Result<Validity> valid_for_days(std::int64_t now_unix_ms, std::int64_t days);

struct CertifiedKey {
  std::string certificate_pem;
  SecretText key_pem;
};

// A self-signed authority that may sign server certificates and nothing below them (pathlen 0).
Result<CertifiedKey> make_tls_authority(const std::string& name, Validity validity);

inline constexpr std::size_t kHostsMax = 64;
inline constexpr std::size_t kHostBytesMax = 253;  // RFC 1035, 2.3.4

// A server certificate for hosts: DNS names or IP addresses, 1..kHostsMax of them. Clients compare
// the host that they dial with this list. kInvalidArgument: no host, or a host that is neither.
Result<CertifiedKey> issue_server_certificate(const CertifiedKey& authority,
                                              const std::vector<std::string>& hosts,
                                              Validity validity);

// A client certificate for whom `name` names: 1 to 64 letters, digits, '-' and '.'.
// kInvalidArgument: another name.
Result<CertifiedKey> issue_client_certificate(const CertifiedKey& authority,
                                              const std::string& name, Validity validity);

struct IdentityKey {
  std::string public_pem;
  SecretText private_pem;
};

// A fresh Ed25519 key pair (RFC 8032).
Result<IdentityKey> make_identity_key();

// The raw 32 bytes of an Ed25519 key from its PEM: the public key, and the private seed. kCorrupt:
// the text holds no such key.
Result<std::array<std::uint8_t, 32>> read_identity_public(std::string_view public_pem);
Result<SecretText> read_identity_seed(std::string_view private_pem);

// "sha256/<hex>": the SHA-256 of the certificate's public key info, by which a client may pin it.
// kCorrupt when the text holds no certificate.
Result<std::string> certificate_pin(std::string_view certificate_pem);

}  // namespace inkling
