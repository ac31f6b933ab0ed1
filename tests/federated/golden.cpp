#include "tests/federated/golden.h"

#include <fstream>
#include <nlohmann/json.hpp>

namespace inkling {

namespace {

const nlohmann::json& at(const std::string& pointer) {
  static const nlohmann::json json =
      nlohmann::json::parse(std::ifstream(INK_GOLDEN_DIR "/federated_kat.json"));
  return json.at(nlohmann::json::json_pointer(pointer));
}

}  // namespace

std::string golden_text(const std::string& pointer) { return at(pointer).get<std::string>(); }

double golden_number(const std::string& pointer) { return at(pointer).get<double>(); }

std::uint64_t golden_integer(const std::string& pointer) {
  return at(pointer).get<std::uint64_t>();
}

std::vector<std::uint64_t> golden_integers(const std::string& pointer) {
  return at(pointer).get<std::vector<std::uint64_t>>();
}

std::vector<std::string> golden_keys(const std::string& pointer) {
  std::vector<std::string> keys;
  for (const auto& item : at(pointer).items()) keys.push_back(item.key());
  return keys;
}

}  // namespace inkling
