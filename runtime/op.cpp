#include "runtime/op.h"

#include <array>

namespace inkling {

namespace {

constexpr std::array kDefs = {
#define INK_OP(Enumerator, name) &name##_def,
#include "runtime/ops/ops.inc"
#undef INK_OP
};

}  // namespace

const OpDef& op_def(OpKind op) { return *kDefs[static_cast<std::size_t>(op)]; }
std::size_t op_count() { return kDefs.size(); }
std::string_view op_name(OpKind op) { return op_def(op).name; }

}  // namespace inkling
