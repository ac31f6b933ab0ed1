#include "server-sim/pki/certificate.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <memory>

#include "runtime/base/sha256.h"

namespace inkling {
namespace {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using BioPtr = std::unique_ptr<BIO, Freer<&BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<&EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freer<&X509_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freer<&X509_EXTENSION_free>>;

// The oldest queued OpenSSL error as ours; empties the queue.
tl::unexpected<Error> openssl_failed(ErrorCode code, std::string_view what) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return fail(code, what, ": ", text.data());
}

tl::unexpected<Error> openssl_failed(std::string_view what) {
  return openssl_failed(ErrorCode::kFailedPrecondition, what);
}

std::string drain(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

BioPtr reader(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<SecretText> private_pem(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  if (!bio ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_failed("write private key");
  }
  return SecretText(drain(bio.get()));
}

Result<std::string> public_pem(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_PUBKEY(bio.get(), key) != 1) return openssl_failed("write public key");
  return drain(bio.get());
}

Result<std::string> certificate_pem(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || PEM_write_bio_X509(bio.get(), certificate) != 1)
    return openssl_failed("write certificate");
  return drain(bio.get());
}

Result<CertificatePtr> parse_certificate(std::string_view pem) {
  const BioPtr bio = reader(pem);
  CertificatePtr certificate(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)
                                 : nullptr);
  if (!certificate) return openssl_failed(ErrorCode::kCorrupt, "read certificate");
  return certificate;
}

Result<KeyPtr> parse_key(const SecretText& pem) {
  const BioPtr bio = reader(pem.reveal());
  KeyPtr key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!key) return openssl_failed(ErrorCode::kCorrupt, "read private key");
  return key;
}

bool add_extension(X509* certificate, const X509V3_CTX& context, int nid, const std::string& text) {
  X509V3_CTX local = context;
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &local, nid, text.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// Unpredictable and positive, 127 bits (RFC 5280, 4.1.2.2).
bool set_serial(X509* certificate) {
  std::array<std::uint8_t, 16> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
  bytes[0] = static_cast<std::uint8_t>((bytes[0] & 0x7f) | 0x40);
  const std::unique_ptr<BIGNUM, Freer<&BN_free>> number(
      BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

struct Extension {
  int nid;
  std::string text;
};

struct Draft {
  std::string common_name;
  Validity validity;
  std::vector<Extension> extensions;
};

// Fills in and signs one certificate; issuer is null for a self-signed one.
Result<CertificatePtr> sign(const Draft& draft, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key) {
  CertificatePtr made(X509_new());
  X509* x = made.get();
  if (x == nullptr || X509_set_version(x, X509_VERSION_3) != 1 || !set_serial(x) ||
      ASN1_TIME_set(X509_getm_notBefore(x), draft.validity.not_before_s) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(x), draft.validity.not_after_s) == nullptr ||
      X509_set_pubkey(x, key) != 1 ||
      X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(draft.common_name.data()),
                                 static_cast<int>(draft.common_name.size()), -1, 0) != 1 ||
      X509_set_issuer_name(x, X509_get_subject_name(issuer != nullptr ? issuer : x)) != 1) {
    return openssl_failed("make certificate");
  }
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer != nullptr ? issuer : x, x, nullptr, nullptr, 0);
  for (const Extension& extension : draft.extensions) {
    if (!add_extension(x, context, extension.nid, extension.text))
      return openssl_failed(concat("make certificate: ", extension.text));
  }
  if (X509_sign(x, issuer_key, EVP_sha256()) <= 0) return openssl_failed("sign certificate");
  return made;
}

bool is_ip_address(const std::string& host) {
  std::array<std::uint8_t, 16> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

// Letters, digits, '-' and '.': nothing that could end an entry of the alternative-name list.
bool is_dns_name(const std::string& host) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.';
  };
  return !host.empty() && host.size() <= kHostBytesMax && host.front() != '.' &&
         host.front() != '-' && std::all_of(host.begin(), host.end(), allowed);
}

Result<std::string> alternative_names(const std::vector<std::string>& hosts) {
  if (hosts.empty() || hosts.size() > kHostsMax) {
    return fail(ErrorCode::kInvalidArgument, "server certificate: ", hosts.size(),
                " hosts, expected 1 to ", kHostsMax);
  }
  std::string names;
  for (const std::string& host : hosts) {
    const bool ip = is_ip_address(host);
    if (!ip && !is_dns_name(host)) {
      return fail(ErrorCode::kInvalidArgument, "server certificate: host \"", host,
                  "\" is neither a DNS name nor an IP address");
    }
    if (!names.empty()) names += ",";
    names += (ip ? "IP:" : "DNS:") + host;
  }
  return names;
}

Result<CertifiedKey> certified(X509* certificate, EVP_PKEY* key) {
  INK_TRY(std::string pem, certificate_pem(certificate));
  INK_TRY(SecretText secret, private_pem(key));
  return CertifiedKey{std::move(pem), std::move(secret)};
}

// A fresh key that the authority certifies for what the draft says.
Result<CertifiedKey> issue(const CertifiedKey& authority, Draft draft) {
  INK_TRY(const CertificatePtr issuer, parse_certificate(authority.certificate_pem));
  INK_TRY(const KeyPtr issuer_key, parse_key(authority.key_pem));
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return openssl_failed("make key");
  const std::vector<Extension> common = {{NID_basic_constraints, "critical,CA:FALSE"},
                                         {NID_key_usage, "critical,digitalSignature"},
                                         {NID_subject_key_identifier, "hash"},
                                         {NID_authority_key_identifier, "keyid:always"}};
  draft.extensions.insert(draft.extensions.begin(), common.begin(), common.end());
  INK_TRY(const CertificatePtr made, sign(draft, key.get(), issuer.get(), issuer_key.get()));
  return certified(made.get(), key.get());
}

}  // namespace

SecretText& SecretText::operator=(SecretText&& other) noexcept {
  if (this != &other) {
    wipe();
    text_ = std::move(other.text_);
    other.wipe();
  }
  return *this;
}

void SecretText::wipe() noexcept {
  OPENSSL_cleanse(text_.data(), text_.size());
  text_.clear();
}

Result<Validity> valid_for_days(std::int64_t now_unix_ms, std::int64_t days) {
  if (days < 1 || days > kValidDaysMax) {
    return fail(ErrorCode::kInvalidArgument, "validity: ", days, " days, expected 1 to ",
                kValidDaysMax);
  }
  constexpr std::int64_t kSlowClockSeconds = 3600;
  const std::int64_t now_s = now_unix_ms / 1000;
  return Validity{now_s - kSlowClockSeconds, now_s + days * 86400};
}

Result<CertifiedKey> make_tls_authority(const std::string& name, Validity validity) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return openssl_failed("make key");
  const Draft draft{.common_name = name,
                    .validity = validity,
                    .extensions = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                   {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                   {NID_subject_key_identifier, "hash"}}};
  INK_TRY(const CertificatePtr made, sign(draft, key.get(), nullptr, key.get()));
  return certified(made.get(), key.get());
}

Result<CertifiedKey> issue_server_certificate(const CertifiedKey& authority,
                                              const std::vector<std::string>& hosts,
                                              Validity validity) {
  INK_TRY(const std::string names, alternative_names(hosts));
  return issue(authority,
               {.common_name = "inkling server",
                .validity = validity,
                .extensions = {{NID_ext_key_usage, "serverAuth"}, {NID_subject_alt_name, names}}});
}

Result<CertifiedKey> issue_client_certificate(const CertifiedKey& authority,
                                              const std::string& name, Validity validity) {
  constexpr std::size_t kNameBytesMax = 64;  // of a common name (RFC 5280, A.1)
  if (!is_dns_name(name) || name.size() > kNameBytesMax) {
    return fail(ErrorCode::kInvalidArgument, "client certificate: name \"", name,
                "\", expected up to ", kNameBytesMax, " letters, digits, '-' and '.'");
  }
  return issue(authority, {.common_name = name,
                           .validity = validity,
                           .extensions = {{NID_ext_key_usage, "clientAuth"}}});
}

Result<IdentityKey> make_identity_key() {
  const KeyPtr key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (!key) return openssl_failed("make Ed25519 key");
  INK_TRY(std::string pem, public_pem(key.get()));
  INK_TRY(SecretText secret, private_pem(key.get()));
  return IdentityKey{std::move(pem), std::move(secret)};
}

Result<std::array<std::uint8_t, 32>> read_identity_public(std::string_view pem) {
  const BioPtr bio = reader(pem);
  const KeyPtr key(bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  std::array<std::uint8_t, 32> raw{};
  std::size_t size = raw.size();
  if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_public_key(key.get(), raw.data(), &size) != 1) {
    ERR_clear_error();
    return fail(ErrorCode::kCorrupt, "identity: ", pem.size(),
                " bytes without an Ed25519 public key in PEM");
  }
  return raw;
}

Result<SecretText> read_identity_seed(std::string_view pem) {
  const BioPtr bio = reader(pem);
  const KeyPtr key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  std::string raw(32, '\0');
  std::size_t size = raw.size();
  if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519 ||
      EVP_PKEY_get_raw_private_key(key.get(), reinterpret_cast<unsigned char*>(raw.data()),
                                   &size) != 1) {
    ERR_clear_error();
    return fail(ErrorCode::kCorrupt, "identity: ", pem.size(),
                " bytes without an Ed25519 private key in PEM");
  }
  return SecretText(std::move(raw));
}

Result<std::string> certificate_pin(std::string_view pem) {
  INK_TRY(const CertificatePtr certificate, parse_certificate(pem));
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate.get()), &der);
  if (size <= 0) return openssl_failed("encode public key");
  const auto digest = sha256({der, static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return "sha256/" + to_hex(digest);
}

}  // namespace inkling
