// Any bytes as what is read before a round and between rounds: a join request, a list of revoked
// devices, a manifest, an identity file, a mechanism of the privacy ledger, an optimizer's state.
// The first byte chooses; signatures and digests are made to fit, so that what is behind them is
// reached.

#include "federated/enrolment.h"
#include "federated/join_request.h"
#include "federated/manifest.h"
#include "federated/privacy/mechanism.h"
#include "federated/revocation.h"
#include "server-sim/aggregator/server_optimizer.h"

namespace {

using namespace inkling;

Bytes copy_of(ByteSpan bytes) { return {bytes.begin(), bytes.end()}; }

Bytes with_signature(ByteSpan bytes, std::string_view label, const secagg::SigningKey& key) {
  ByteWriter statement;
  statement.text(label);
  statement.raw(bytes);
  ByteWriter out;
  out.raw(bytes);
  const secagg::Signature signature = key.sign(statement.bytes());
  out.raw(signature);
  return out.take();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan bytes(data + 1, size - 1);
  static const secagg::SigningKey key = secagg::SigningKey::from_seed(secagg::Secret<32>());
  static const secagg::PublicKey authority = key.public_key();
  switch (data[0] % 7) {
    case 0:
      INK_INVARIANT(!federated::check_join_request(bytes, authority, 0));
      (void)federated::check_join_request(with_signature(bytes, "fl-sa/1/join", key), authority, 0);
      break;
    case 1: {
      INK_INVARIANT(!federated::decode_revocations(bytes, authority));
      const Bytes sealed = with_signature(bytes, "fl-sa/1/revoked", key);
      if (const auto list = federated::decode_revocations(sealed, authority)) {
        INK_INVARIANT(federated::encode_revocations(*list, key) == sealed);
      }
      break;
    }
    case 2: {
      INK_INVARIANT(!federated::open_manifest(bytes, authority, 0));
      // A certificate of the authority, which certifies itself here, at the end of the bytes.
      static const secagg::Certificate certificate =
          secagg::issue_certificate(key, secagg::Role::kServer, {}, authority, 1000);
      ByteWriter out;
      out.raw(bytes);
      out.raw(certificate.id);
      out.raw(certificate.key);
      out.u64(1000);
      out.raw(certificate.signature);
      const Bytes sealed = with_signature(out.bytes(), "fl-sa/1/manifest", key);
      if (const auto manifest = federated::open_manifest(sealed, authority, 0)) {
        INK_INVARIANT(federated::sign_manifest(
                          *manifest, {certificate, secagg::SigningKey::from_seed({})}) == sealed);
      }
      break;
    }
    case 3:
      if (const auto trust = federated::decode_trust(bytes)) {
        INK_INVARIANT(federated::encode_trust(*trust) == copy_of(bytes));
      }
      break;
    case 4: {
      ByteWriter out;
      out.raw(bytes);
      const secagg::Hash digest = secagg::hash_of({bytes});
      out.raw(digest);
      (void)federated::decode_identity(bytes, "fuzz");
      (void)federated::decode_identity(out.bytes(), "fuzz");
      break;
    }
    case 5:
      if (const auto mechanism = privacy::decode_mechanism(bytes)) {
        INK_INVARIANT(privacy::encode_mechanism(*mechanism) == copy_of(bytes));
      }
      break;
    default: {
      ServerOptimizer optimizer =
          ServerOptimizer::create({.rule = ServerRule::kFedYogi}, 3).value();
      if (optimizer.load(bytes)) INK_INVARIANT(optimizer.save() == copy_of(bytes));
    }
  }
  return 0;
}
