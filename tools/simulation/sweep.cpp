#include "tools/simulation/sweep.h"

namespace inkling::tools {

namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    parts.emplace_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

}  // namespace

Result<std::vector<Variant>> expand_sweep(std::span<const std::string> sweeps) {
  std::vector<Variant> variants = {{}};
  for (const std::string& sweep : sweeps) {
    const std::size_t equals = sweep.find('=');
    if (equals == 0 || equals == sweep.npos || equals + 1 == sweep.size())
      return fail(ErrorCode::kInvalidArgument, "--sweep ", sweep, ": expected KEY=A,B,...");
    const std::string key = sweep.substr(0, equals);
    const std::string last_part = key.substr(key.rfind('.') + 1);
    const std::vector<std::string> values = split(std::string_view(sweep).substr(equals + 1));
    if (variants.size() * values.size() > kVariantsMax)
      return fail(ErrorCode::kInvalidArgument, "--sweep: more than ", kVariantsMax, " runs");
    std::vector<Variant> next;
    for (const Variant& variant : variants) {
      for (const std::string& value : values) {
        Variant extended = variant;
        extended.name += concat(variant.name.empty() ? "" : ",", last_part, "=", value);
        extended.settings.push_back(concat(key, "=", value));
        next.push_back(std::move(extended));
      }
    }
    variants = std::move(next);
  }
  return variants;
}

}  // namespace inkling::tools
