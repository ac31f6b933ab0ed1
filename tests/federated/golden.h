#pragma once
// The known-answer vectors of tests/golden/federated_kat.json, by JSON pointer: "/graph/0/n".

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "runtime/base/bytes.h"

namespace inkling {

std::string golden_text(const std::string& pointer);
double golden_number(const std::string& pointer);
std::uint64_t golden_integer(const std::string& pointer);
std::vector<std::uint64_t> golden_integers(const std::string& pointer);
std::vector<std::string> golden_keys(const std::string& pointer);  // of an object or an array

inline Bytes hex_bytes(const std::string& hex) { return from_hex(hex).value(); }

template <std::size_t N>
std::array<std::uint8_t, N> hex_array(const std::string& hex) {
  const Bytes bytes = hex_bytes(hex);
  std::array<std::uint8_t, N> out{};
  std::copy_n(bytes.begin(), N, out.begin());
  return out;
}

}  // namespace inkling
