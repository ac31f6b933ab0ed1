#include "server-sim/pki/authority.h"

#include <array>

#include "server-sim/pki/certificate.h"

namespace inkling {

std::vector<Path> authority_files(const Path& folder) {
  return {folder / "identity.key", folder / "identity.pub", folder / "tls-ca.key",
          folder / "tls-ca.pem",   folder / "server.key",   folder / "server.pem"};
}

Result<std::vector<Path>> create_authority(const AuthoritySpec& spec) {
  const std::vector<Path> files = authority_files(spec.folder);
  for (const Path& file : files) {
    std::error_code error;
    if (!spec.overwrite && std::filesystem::exists(std::filesystem::symlink_status(file, error))) {
      return fail(ErrorCode::kFailedPrecondition, file.string(),
                  ": already there; choose another folder or overwrite with --force");
    }
  }
  INK_TRY(const Validity validity, valid_for_days(spec.now_unix_ms, spec.days));
  INK_TRY(const IdentityKey identity, make_identity_key());
  INK_TRY(const CertifiedKey authority, make_tls_authority("inkling TLS authority", validity));
  INK_TRY(const CertifiedKey server, issue_server_certificate(authority, spec.hosts, validity));
  const std::array<std::string_view, 6> contents = {
      identity.private_pem.reveal(), identity.public_pem,     authority.key_pem.reveal(),
      authority.certificate_pem,     server.key_pem.reveal(), server.certificate_pem};
  for (std::size_t i = 0; i < files.size(); ++i)
    INK_CHECK_OK(write_file(files[i], as_bytes(contents[i])));
  return files;
}

}  // namespace inkling
