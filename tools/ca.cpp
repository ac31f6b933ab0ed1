// inkling ca: the keys of a deployment.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "runtime/base/clock.h"
#include "server-sim/pki/authority.h"
#include "server-sim/pki/certificate.h"
#include "tools/command.h"
#include "tools/console.h"
#include "tools/keys.h"

namespace inkling::tools {
namespace {

Result<void> ca_init(AuthoritySpec spec, Console& console) {
  spec.now_unix_ms = SystemClock().unix_ms();
  INK_TRY(const std::vector<Path> files, create_authority(spec));
  for (const Path& file : files) console.out() << file.string() << "\n";
  return {};
}

void add_init(CLI::App& ca, Action& chosen) {
  auto spec = std::make_shared<AuthoritySpec>();
  spec->hosts = {"localhost", "127.0.0.1"};
  CLI::App* init =
      ca.add_subcommand("init", "Create an identity key, a TLS authority and a server certificate");
  init->add_option("--dir", spec->folder, "Folder for the files; made if missing")
      ->type_name("DIR")
      ->required();
  init->add_option("--host", spec->hosts, "DNS name or address of the server; may be repeated")
      ->type_name("NAME")
      ->capture_default_str();
  init->add_option("--days", spec->days, "Days for which the certificates are valid")
      ->type_name("DAYS")
      ->capture_default_str();
  init->add_flag("--force", spec->overwrite, "Overwrite keys that are already there");
  init->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return ca_init(*spec, console); }; });
}

struct IssueSpec {
  Path authority;
  std::string id;
  Path out;
  Path tls;  // where the TLS certificate goes, without .pem
  bool server = false;
  std::int64_t days = 365;
};

// FILE.pem and FILE.key: what a device shows to `serve --client-ca`.
Result<void> issue_tls(const IssueSpec& spec, Console& console) {
  INK_TRY(const Bytes certificate, read_file(spec.authority / "tls-ca.pem"));
  INK_TRY(Bytes key, read_file(spec.authority / "tls-ca.key"));
  const CertifiedKey authority{std::string(as_text(certificate)),
                               SecretText(std::string(as_text(key)))};
  secagg::wipe(key.data(), key.size());
  INK_TRY(const Validity validity, valid_for_days(SystemClock().unix_ms(), spec.days));
  INK_TRY(const secagg::ClientId id, parse_client_id(spec.id));
  INK_TRY(const CertifiedKey issued, issue_client_certificate(authority, to_hex(id), validity));
  const Path pem(spec.tls.string() + ".pem"), secret(spec.tls.string() + ".key");
  INK_CHECK_OK(write_file(pem, as_bytes(issued.certificate_pem)));
  INK_CHECK_OK(write_file(secret, as_bytes(issued.key_pem.reveal())));
  console.out() << pem.string() << "\n" << secret.string() << "\n";
  return {};
}

Result<void> ca_issue(const IssueSpec& spec, Console& console) {
  INK_TRY(const secagg::ClientId id, parse_client_id(spec.id));
  INK_TRY(const secagg::SigningKey authority, read_authority_key(spec.authority / "identity.key"));
  secagg::SystemEntropy entropy;
  const std::int64_t not_after_ms = SystemClock().unix_ms() + spec.days * 24 * 3600 * 1000;
  const auto role = spec.server ? secagg::Role::kServer : secagg::Role::kClient;
  INK_TRY(const secagg::Identity identity,
          federated::enrol(authority, role, id, not_after_ms, entropy));
  INK_CHECK_OK(federated::save_identity(identity, spec.out));
  console.out() << spec.out.string() << "\n";
  if (!spec.tls.empty()) return issue_tls(spec, console);
  return {};
}

void add_issue(CLI::App& ca, Action& chosen) {
  auto spec = std::make_shared<IssueSpec>();
  CLI::App* issue =
      ca.add_subcommand("issue", "Certify a device, or the aggregation server, with a fresh key");
  issue->add_option("--dir", spec->authority, "Folder that ca init made")
      ->type_name("DIR")
      ->required();
  issue->add_option("--id", spec->id, "Id of the device, 32 hexadecimal digits")
      ->type_name("HEX")
      ->required();
  issue->add_option("--out", spec->out, "Identity file to write; it holds a secret key")
      ->type_name("FILE")
      ->required();
  CLI::Option* tls = issue->add_option(
      "--tls", spec->tls, "Also make a TLS client certificate of that name: FILE.pem and FILE.key");
  tls->type_name("FILE");
  issue->add_flag("--server", spec->server, "Certify the aggregation server instead of a device")
      ->excludes(tls);
  issue->add_option("--days", spec->days, "Days for which the certificate is valid")
      ->type_name("DAYS")
      ->capture_default_str()
      ->check(CLI::Range(1, 3650));
  issue->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return ca_issue(*spec, console); }; });
}

struct RevokeSpec {
  Path authority;
  std::vector<std::string> ids;
};

// Adds to the list that is there. Its date only ever grows, so that servers take the newest.
Result<void> ca_revoke(const RevokeSpec& spec, Console& console) {
  INK_TRY(const secagg::SigningKey authority, read_authority_key(spec.authority / "identity.key"));
  const Path path = spec.authority / kRevokedName;
  federated::Revocations list;
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    INK_TRY(list, read_revocations(path, authority.public_key()));
  }
  for (const std::string& text : spec.ids) {
    INK_TRY(const secagg::ClientId id, parse_client_id(text));
    list.ids.insert(id);
  }
  list.issued_ms = std::max(SystemClock().unix_ms(), list.issued_ms + 1);
  INK_CHECK_OK(write_file(path, federated::encode_revocations(list, authority)));
  console.out() << path.string() << "\n";
  return {};
}

void add_revoke(CLI::App& ca, Action& chosen) {
  auto spec = std::make_shared<RevokeSpec>();
  CLI::App* revoke =
      ca.add_subcommand("revoke", "Add devices to the list of those that may no longer take part");
  revoke->add_option("--dir", spec->authority, "Folder that ca init made; the list is there")
      ->type_name("DIR")
      ->required();
  revoke->add_option("--id", spec->ids, "Id of the device; may be repeated")
      ->type_name("HEX")
      ->required();
  revoke->callback(
      [&chosen, spec] { chosen = [spec](Console& console) { return ca_revoke(*spec, console); }; });
}

}  // namespace

void add_ca(CLI::App& root, Action& chosen) {
  CLI::App* ca = root.add_subcommand("ca", "Create the keys and certificates of a deployment");
  ca->require_subcommand(1);
  add_init(*ca, chosen);
  add_issue(*ca, chosen);
  add_revoke(*ca, chosen);
}

}  // namespace inkling::tools
