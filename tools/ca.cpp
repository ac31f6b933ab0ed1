// inkling ca: the keys of a deployment.

#include <CLI/CLI.hpp>
#include <memory>

#include "runtime/base/clock.h"
#include "server-sim/pki/authority.h"
#include "tools/command.h"
#include "tools/console.h"

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

}  // namespace

void add_ca(CLI::App& root, Action& chosen) {
  CLI::App* ca = root.add_subcommand("ca", "Create the keys and certificates of a deployment");
  ca->require_subcommand(1);
  add_init(*ca, chosen);
}

}  // namespace inkling::tools
