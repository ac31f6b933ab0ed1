// Seeds for the fuzzers, one folder a fuzzer: of the protocol and of what surrounds it, from true
// rounds and encoders; of the models' parsers, from small models and those below the folders
// that are named.
//   build/fuzz/bin/make_seeds OUT /usr/share/libonnx-testdata/data
//   build/fuzz/bin/onnx_fuzz -max_total_time=60 OUT/onnx

#include <cstdio>

#include "convert/onnx/import.h"
#include "federated/enrolment.h"
#include "federated/join_request.h"
#include "federated/manifest.h"
#include "federated/privacy/mechanism.h"
#include "federated/revocation.h"
#include "federated/task.h"
#include "runtime/base/file.h"
#include "server-sim/aggregator/server_optimizer.h"
#include "tests/convert/tflite/model_builder.h"
#include "tests/federated/round_world.h"

namespace inkling {
namespace {

class Seeds {
 public:
  explicit Seeds(Path out) : out_(std::move(out)) {}
  // `prefix` bytes choose a case in the fuzzer.
  void add(std::string_view fuzzer, std::initializer_list<std::uint8_t> prefix, ByteSpan bytes) {
    Bytes seed(prefix);
    seed.insert(seed.end(), bytes.begin(), bytes.end());
    const auto written = write_file(out_ / std::string(fuzzer) / concat("seed", count_++), seed);
    INK_INVARIANT(written.has_value());
  }

 private:
  Path out_;
  int count_ = 0;
};

// Every message of a strict round of three, at the fuzzers that read it.
void add_round(Seeds& seeds) {
  using namespace secagg;
  Config config = small_config(3);
  config.mode = Mode::kStrict;
  World world(config, 3);
  const auto add_message = [&](const Bytes& message, std::uint8_t phase) {
    const Envelope envelope = open_envelope(message).value();
    const auto type = static_cast<std::uint8_t>(envelope.type);
    const auto before = static_cast<std::uint8_t>(type - 1);
    seeds.add("secagg_envelope", {}, message);
    seeds.add("secagg_messages", {before}, envelope.body);
    seeds.add("secagg_client", {phase, before}, envelope.body);
    Bytes with_raw = envelope.body;
    with_raw.insert(with_raw.end(), envelope.raw.begin(), envelope.raw.end());
    seeds.add("secagg_server", {phase, before, static_cast<std::uint8_t>(envelope.raw.size())},
              with_raw);
    seeds.add("secagg_packing", {24, 6}, envelope.raw);
  };
  for (std::uint8_t phase = 0; world.server.phase() < ServerPhase::kDone; ++phase) {
    add_message(world.server.outgoing(client_id(0)).value(), phase);
    world.run_phase();
    add_message(world.last_answer[2], phase);
    seeds.add("secagg_client_record", {}, world.clients[0].save());
  }
  for (std::size_t i = 0; i < world.journal.size(); ++i)
    seeds.add("secagg_journal", {static_cast<std::uint8_t>(i)}, world.journal[i]);
  seeds.add("secagg_envelope", {}, encode_config(config));
}

void add_admission(Seeds& seeds) {
  const auto key = secagg::SigningKey::from_seed(secagg::Secret<32>());
  const secagg::Identity server{
      secagg::issue_certificate(key, secagg::Role::kServer, {}, key.public_key(), 1000),
      secagg::SigningKey::from_seed(secagg::Secret<32>())};
  const secagg::Identity device{
      secagg::issue_certificate(key, secagg::Role::kClient, {7}, key.public_key(), 1000),
      secagg::SigningKey::from_seed(secagg::Secret<32>())};
  const auto without = [](const Bytes& bytes, std::size_t end) {
    return Bytes(bytes.begin(), bytes.end() - static_cast<std::ptrdiff_t>(end));
  };
  constexpr std::size_t kSignature = 64, kCertificate = 120;
  seeds.add("admission", {0}, without(federated::make_join_request(device, 0), kSignature));
  seeds.add(
      "admission", {1},
      without(federated::encode_revocations({.issued_ms = 5, .ids = {{1}, {2}}}, key), kSignature));
  const auto manifest = federated::describe_model({3}, 9, 500, Bytes(10, 1));
  seeds.add("admission", {2},
            without(federated::sign_manifest(manifest, server), kCertificate + kSignature));
  seeds.add("admission", {3}, federated::encode_trust({.version = 4, .model_hash = {1}}));
  for (const privacy::Mechanism& mechanism :
       {privacy::Mechanism(privacy::Gaussian{}), privacy::Mechanism(privacy::Skellam{})}) {
    seeds.add("admission", {5}, privacy::encode_mechanism(mechanism));
  }
  seeds.add("admission", {6},
            ServerOptimizer::create({.rule = ServerRule::kFedYogi}, 3).value().save());
  seeds.add("task", {}, federated::encode_plan({.kind = "conditional_logit"}));
  federated::Invitation seat;
  seat.seat = federated::Seat::kTaken;
  seat.plan = Bytes(20, 1);
  seat.model = Bytes(30, 2);
  seat.manifest = federated::sign_manifest(manifest, server);
  seeds.add("task", {}, federated::encode_invitation(seat));
}

void add_http(Seeds& seeds) {
  for (const std::string_view head :
       {"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"}) {
    seeds.add("request_head", {}, as_bytes(head));
  }
  for (const std::string_view head :
       {"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Encoding: identity\r\n\r\n"}) {
    seeds.add("answer_head", {}, as_bytes(head));
  }
  const std::string device = "v1/clients/de000000000000000000000000000000/";
  for (const std::string_view what : {"join", "rounds/1.1/message"})
    seeds.add("service", {1}, as_bytes(concat(device, what, std::string_view("\0body", 5))));
  for (const std::string_view path : {"healthz", "readyz", "metrics", "v1/admin/cancel"})
    seeds.add("service", {0}, as_bytes(path));
}

// Models of up to kModelBytesMax: ONNX and TensorFlow Lite ones as they are, and model files made
// of the former.
void add_models(Seeds& seeds, const Path& folder) {
  constexpr std::uintmax_t kModelBytesMax = 64 << 10;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".onnx" || entry.file_size() > kModelBytesMax) continue;
    const auto bytes = read_file(entry.path());
    INK_INVARIANT(bytes.has_value());
    seeds.add("onnx", {}, *bytes);
    const auto model = onnx_import::import_model(*bytes);
    const auto file = model ? encode_model(*model) : Result<Bytes>(Bytes{});
    if (file && !file->empty()) seeds.add("model", {}, *file);
  }
}

}  // namespace
}  // namespace inkling

int main(int argc, char** argv) {
  if (argc < 2) {
    (void)std::fputs("usage: make_seeds OUT [FOLDER-OF-MODELS ...]\n", stderr);
    return 1;
  }
  inkling::Seeds seeds{inkling::Path(argv[1])};
  inkling::add_round(seeds);
  inkling::add_admission(seeds);
  inkling::add_http(seeds);
  for (const auto& model : inkling::tflite_import::small_models()) seeds.add("tflite", {}, model);
  for (int i = 2; i < argc; ++i) inkling::add_models(seeds, argv[i]);
  return 0;
}
