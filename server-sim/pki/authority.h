#pragma once
// A deployment's folder of keys: what `inkling ca init` leaves behind.
//
//   identity.key  identity.pub   Ed25519 identity of the authority; the public half goes to devices
//   tls-ca.key    tls-ca.pem     the TLS authority; the certificate goes to devices
//   server.key    server.pem     what the HTTPS server presents
//
// Every file is readable by its owner alone. Keep the two authority keys off the server once the
// server certificate is made: the server needs server.key and server.pem only.

#include <string>
#include <vector>

#include "runtime/base/file.h"

namespace inkling {

struct AuthoritySpec {
  Path folder;
  std::vector<std::string> hosts;  // names and addresses under which devices reach the server
  std::int64_t now_unix_ms = 0;
  std::int64_t days = 365;
  bool overwrite = false;
};

// The files in the order in which they are written.
std::vector<Path> authority_files(const Path& folder);

// Makes and writes everything, and returns the written files. kFailedPrecondition when one of them
// is already there and overwrite is off: a lost authority key cannot be made again.
Result<std::vector<Path>> create_authority(const AuthoritySpec& spec);

}  // namespace inkling
