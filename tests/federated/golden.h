#pragma once
// The known-answer vectors of tests/golden/federated_kat.json.

#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/base/bytes.h"

namespace inkling {

inline const nlohmann::json& golden() {
  static const nlohmann::json json =
      nlohmann::json::parse(std::ifstream(INK_GOLDEN_DIR "/federated_kat.json"));
  return json;
}

inline Bytes hex_bytes(const nlohmann::json& value) {
  return from_hex(value.get<std::string>()).value();
}

template <std::size_t N>
std::array<std::uint8_t, N> hex_array(const nlohmann::json& value) {
  const Bytes bytes = hex_bytes(value);
  std::array<std::uint8_t, N> out{};
  std::copy_n(bytes.begin(), N, out.begin());
  return out;
}

}  // namespace inkling
