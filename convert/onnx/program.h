#pragma once
// Program: an ONNX model that is run on whatever comes, by specialising it.
//
// A plan needs fixed shapes, and an ONNX model may leave them open, or let them depend on numbers.
// So a program imports and plans the model once for each combination of input shapes, and of the
// values of those inputs that decide a shape, an axis, a branch or a trip count, and keeps the
// plans. Which inputs do, it finds out by itself. The weights are read once. One thread at a time.

#include <memory>
#include <vector>

#include "convert/onnx/import.h"
#include "runtime/named_tensors.h"

namespace inkling::onnx_import {

inline constexpr std::size_t kPlansMax = 16;  // kept; beyond it the oldest goes

class Program {
 public:
  // kCorrupt, kUnsupported: as import_model. What the options point to outlives the program.
  static Result<Program> open(ByteSpan bytes, const PlanOptions& options = {});
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;
  ~Program();

  const std::vector<std::string>& inputs() const;  // in the model's order, without initializers
  // The outputs in the model's order. `form` says which inputs are sequences or absent; its shapes
  // and values are not looked at. Errors as import_model; kInvalidArgument: an input that is
  // missing, unknown, or of another element type than the model declares.
  Result<std::vector<NamedTensor>> run(std::span<const NamedTensor> inputs,
                                       const Options& form = {});
  // The plan that run() would use.
  Result<Session*> plan(std::span<const NamedTensor> inputs, const Options& form = {});
  std::size_t plans() const;  // how many are kept

 private:
  struct State;
  explicit Program(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace inkling::onnx_import
