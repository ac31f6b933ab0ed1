#pragma once
// OpDef: what an op is. Its shape rule, its meaning as the plainest loop, and its derivative, all
// three written in one file per op family in runtime/ops/. A kernel (runtime/kernel.h) is a faster
// way to the same numbers and is tested against `reference`.

#include <cstddef>
#include <span>
#include <vector>

#include "runtime/base/thread_pool.h"
#include "runtime/graph.h"

namespace inkling {

class Adjoint;

// What a kernel gets. Inputs and outputs do not overlap, except where the op is elementwise and the
// planner lets an output take the place of an input of the same size that dies there.
struct KernelArgs {
  std::span<const TensorView> in;
  std::span<const TensorView> out;
  const Attrs& attrs;
  ThreadPool& pool;
  std::byte* scratch = nullptr;       // kTensorAlignment-aligned, scratch_bytes of the kernel's row
  const std::byte* packed = nullptr;  // what the row's pack() made of a constant input; else null
  // Elements from one run of the output's last axis to the next where it is a part of a
  // concatenation; 0: its runs follow each other. Only what NodeSpec::out_pitch told the row.
  std::int64_t out_pitch = 0;
};

struct OpDef {
  const char* name;
  // The specs of the outputs, or why the inputs do not fit, without the op's name: append() adds
  // it.
  Result<std::vector<TensorSpec>> (*infer)(std::span<const TensorSpec> in, const Attrs& attrs);
  // The meaning. Runs on the caller's thread; f32 and f64 where the op is on floats.
  void (*reference)(const KernelArgs& args);
  // Appends dL/dinputs; null = not differentiable.
  void (*derivative)(Adjoint& adjoint);
  // Output element i depends on element i of each input (or of a broadcast input) alone, so that an
  // output may overwrite an input of its own size.
  bool elementwise = false;
  // Or that output 0 may overwrite input 0 and no other.
  bool changes_first = false;
};

// Each is defined beside its op's formula in runtime/ops/; a missing one does not link.
#define INK_OP(Enumerator, name) extern const OpDef name##_def;
#include "runtime/ops/ops.inc"
#undef INK_OP

const OpDef& op_def(OpKind op);
std::size_t op_count();

// A node while it is being differentiated: its inputs, its outputs, the cotangents of its outputs,
// and a place for the cotangents of its inputs.
class Adjoint {
 public:
  Adjoint(Graph& owner, Node node, std::vector<ValueId> cotangents, std::vector<bool> wanted)
      : graph(owner),
        node_(std::move(node)),
        cotangents_(std::move(cotangents)),
        wanted_(std::move(wanted)),
        gradients_(node_.inputs.size(), kNoValue) {}

  Graph& graph;
  const Attrs& attrs() const { return node_.attrs; }
  std::size_t input_count() const { return node_.inputs.size(); }
  ValueId input(std::size_t i) const { return node_.inputs[i]; }
  ValueId output(std::size_t i = 0) const { return node_.outputs[i]; }
  ValueId cotangent(std::size_t i = 0) const { return cotangents_[i]; }  // dL/doutput(i)
  bool wanted(std::size_t i) const { return wanted_[i]; }  // does anyone need dL/dinput(i)?
  void set(std::size_t i, ValueId gradient) { gradients_[i] = gradient; }
  ValueId gradient(std::size_t i) const { return gradients_[i]; }

 private:
  Node node_;
  std::vector<ValueId> cotangents_;
  std::vector<bool> wanted_;
  std::vector<ValueId> gradients_;
};

}  // namespace inkling
