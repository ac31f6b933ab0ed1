#include "tools/train/checkpoint.h"

#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/base/sha256.h"

namespace inkling::tools {

namespace {

constexpr std::string_view kMagic = "INKTRAIN";
constexpr std::size_t kHeaderBytes = 48, kDigestAt = 8, kLengthAt = 40;

using Json = nlohmann::ordered_json;

template <typename T>
void append(Bytes& to, std::span<const T> values) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(values.data());
  to.insert(to.end(), bytes, bytes + values.size_bytes());
}

std::vector<float> read_floats(ByteSpan bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace

Bytes encode_checkpoint(const Checkpoint& checkpoint) {
  Json history = Json::array();
  for (const EpochRecord& e : checkpoint.history)
    history.push_back({e.loss, e.validation_accuracy, e.validation_nll, e.seconds});
  const std::string text = Json{{"settings", checkpoint.settings},
                                {"history", history},
                                {"best_epoch", checkpoint.best_epoch},
                                {"state_size", checkpoint.state.size()}}
                               .dump();
  Bytes bytes(kHeaderBytes);
  std::copy(kMagic.begin(), kMagic.end(), bytes.begin());
  const std::uint64_t length = text.size();
  std::memcpy(bytes.data() + kLengthAt, &length, sizeof(length));
  append(bytes, std::span(text.data(), text.size()));
  append(bytes, std::span<const float>(checkpoint.state));
  append(bytes, std::span<const float>(checkpoint.best_parameters));
  const Sha256Digest digest = sha256(ByteSpan(bytes).subspan(kLengthAt));
  std::copy(digest.begin(), digest.end(), bytes.begin() + kDigestAt);
  return bytes;
}

Result<Checkpoint> decode_checkpoint(ByteSpan bytes) {
  if (bytes.size() < kHeaderBytes || as_text(bytes.first(kMagic.size())) != kMagic)
    return fail(ErrorCode::kCorrupt, "checkpoint: does not begin with ", kMagic);
  const Sha256Digest digest = sha256(bytes.subspan(kLengthAt));
  if (!std::equal(digest.begin(), digest.end(), bytes.begin() + kDigestAt))
    return fail(ErrorCode::kCorrupt, "checkpoint: the digest differs");
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data() + kLengthAt, sizeof(length));
  const ByteSpan body = bytes.subspan(kHeaderBytes);
  if (length > body.size() || (body.size() - length) % sizeof(float) != 0)
    return fail(ErrorCode::kCorrupt, "checkpoint: ", length, " bytes of text in ", body.size());
  const Json json = Json::parse(as_text(body.first(length)), nullptr, false);
  Checkpoint checkpoint;
  std::size_t state_size = 0;
  try {
    checkpoint.settings = json.at("settings").get<std::string>();
    checkpoint.best_epoch = json.at("best_epoch").get<std::size_t>();
    state_size = json.at("state_size").get<std::size_t>();
    for (const auto& e : json.at("history"))
      checkpoint.history.push_back({e.at(0).get<double>(), e.at(1).get<double>(),
                                    e.at(2).get<double>(), e.at(3).get<double>()});
  } catch (const Json::exception& error) {
    return fail(ErrorCode::kCorrupt, "checkpoint: ", error.what());
  }
  const ByteSpan floats = body.subspan(length);
  if (state_size > floats.size() / sizeof(float) ||
      checkpoint.best_epoch >= checkpoint.history.size())
    return fail(ErrorCode::kCorrupt, "checkpoint: a state of ", state_size, " numbers in ",
                floats.size(), " bytes");
  checkpoint.state = read_floats(floats.first(state_size * sizeof(float)));
  checkpoint.best_parameters = read_floats(floats.subspan(state_size * sizeof(float)));
  return checkpoint;
}

}  // namespace inkling::tools
