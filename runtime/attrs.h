#pragma once
// Attrs: the constants of a node, known when the graph is built (strides, axes, bounds).
// A small ordered list of typed values; equal lists compare equal, which common subexpressions rely
// on.

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace inkling {

// Values are part of the model file: append, never reorder.
enum class Attr : std::uint8_t {
  kShape,         // integers: a target shape
  kPermutation,   // integers: output axis i is input axis permutation[i]
  kAxis,          // integer
  kStarts,        // integers, one per axis
  kSizes,         // integers, one per axis
  kBefore,        // integers, one per axis: elements of padding in front
  kAfter,         // integers, one per axis: elements of padding behind
  kKernel,        // integers [height, width]
  kStrides,       // integers [height, width]
  kPads,          // integers [top, left, bottom, right]
  kDilations,     // integers [height, width]
  kTransposeA,    // integer 0 or 1
  kTransposeB,    // integer 0 or 1
  kMin,           // real
  kMax,           // real
  kValue,         // real
  kMomentum,      // real
  kBeta1,         // real
  kBeta2,         // real
  kEpsilon,       // real
  kWeightDecay,   // real
  kCountPadding,  // integer 0 or 1: average pooling counts padding as zeros
  kDType,         // integer: a DType
  kMode,          // integer: which of the variants that the op's file lists
  kCount,         // integer: how many
  kExclusive,     // integer 0 or 1: a running sum leaves its own element out
  kReverse,       // integer 0 or 1: from the end
  kExpandMin,     // real: bounds of an expansion inside a fused op
  kExpandMax,     // real
  kBeta,          // real
  kL1,            // real
  kL2             // real
};
inline constexpr std::size_t kAttrCount = static_cast<std::size_t>(Attr::kL2) + 1;

std::string_view attr_name(Attr attr);

using AttrValue = std::variant<std::int64_t, double, std::vector<std::int64_t>>;

class Attrs {
 public:
  Attrs() = default;
  Attrs(std::initializer_list<std::pair<Attr, AttrValue>> entries);

  Attrs& set(Attr attr, AttrValue value);  // replaces an earlier value
  bool has(Attr attr) const { return find(attr) != nullptr; }

  // The value, or the fallback when it is absent or of another type. infer() of each op refuses
  // what it cannot use, so kernels read without checking.
  std::int64_t integer(Attr attr, std::int64_t fallback = 0) const;
  double real(Attr attr, double fallback = 0) const;
  const std::vector<std::int64_t>& integers(Attr attr) const;  // empty when absent

  const std::vector<std::pair<Attr, AttrValue>>& entries() const { return entries_; }
  bool operator==(const Attrs& other) const = default;

 private:
  const AttrValue* find(Attr attr) const;
  std::vector<std::pair<Attr, AttrValue>> entries_;  // sorted by Attr
};

}  // namespace inkling
