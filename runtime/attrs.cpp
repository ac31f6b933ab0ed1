#include "runtime/attrs.h"

#include <algorithm>
#include <array>

namespace inkling {

std::string_view attr_name(Attr attr) {
  static constexpr std::array<std::string_view, kAttrCount> kNames = {
      "shape",       "permutation", "axis",         "starts",        "sizes",      "before",
      "after",       "kernel",      "strides",      "pads",          "dilations",  "transpose_a",
      "transpose_b", "min",         "max",          "value",         "momentum",   "beta1",
      "beta2",       "epsilon",     "weight_decay", "count_padding", "dtype",      "mode",
      "count",       "exclusive",   "reverse",      "expand_min",    "expand_max", "beta",
      "l1",          "l2"};
  static_assert(!kNames.back().empty());
  const auto i = static_cast<std::size_t>(attr);
  return i < kNames.size() ? kNames[i] : "?";
}

Attrs::Attrs(std::initializer_list<std::pair<Attr, AttrValue>> entries) {
  for (const auto& [attr, value] : entries) set(attr, value);
}

Attrs& Attrs::set(Attr attr, AttrValue value) {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), attr,
                                   [](const auto& entry, Attr key) { return entry.first < key; });
  if (at != entries_.end() && at->first == attr) {
    at->second = std::move(value);
  } else {
    entries_.insert(at, {attr, std::move(value)});
  }
  return *this;
}

const AttrValue* Attrs::find(Attr attr) const {
  for (const auto& [key, value] : entries_) {
    if (key == attr) return &value;
  }
  return nullptr;
}

std::int64_t Attrs::integer(Attr attr, std::int64_t fallback) const {
  const AttrValue* value = find(attr);
  const auto* integer = value ? std::get_if<std::int64_t>(value) : nullptr;
  return integer ? *integer : fallback;
}

double Attrs::real(Attr attr, double fallback) const {
  const AttrValue* value = find(attr);
  const auto* real = value ? std::get_if<double>(value) : nullptr;
  return real ? *real : fallback;
}

const std::vector<std::int64_t>& Attrs::integers(Attr attr) const {
  static const std::vector<std::int64_t> kNone;
  const AttrValue* value = find(attr);
  const auto* integers = value ? std::get_if<std::vector<std::int64_t>>(value) : nullptr;
  return integers ? *integers : kNone;
}

}  // namespace inkling
