#pragma once
// What the op handlers of the TensorFlow Lite importer work with: the values of one subgraph made
// so far, and one operator at a time.

#include <span>

#include "convert/tflite/tensor_reader.h"
#include "runtime/model.h"
#include "runtime/ops.h"

namespace inkling::tflite_import {

// A model file while it is read. Subgraphs may call each other, and themselves: what they come to
// is counted.
struct ModelFile {
  ByteSpan bytes;
  const tflite::Model& model;
  std::size_t operators_run = 0;
};

class Importer {
 public:
  // `subgraph` is whole (find_subgraph). It appends to `to`.
  Importer(ModelFile& file, const tflite::SubGraph& subgraph, Graph& to, std::size_t depth = 0)
      : graph(to),
        file_(file),
        subgraph_(subgraph),
        depth_(depth),
        values_(subgraph.tensors()->size(), kNoValue) {}

  Graph& graph;

  ByteSpan file() const { return file_.bytes; }
  Result<void> run();  // the operators in order
  // What another subgraph makes of these inputs.
  Result<std::vector<ValueId>> call(std::int32_t subgraph, std::span<const ValueId> inputs);
  Result<const tflite::Tensor*> tensor(std::int32_t index) const;
  Result<ByteSpan> data(const tflite::Tensor& tensor) const;  // empty: not a constant
  Result<ValueId> value(std::int32_t index);                  // what was computed, or a constant
  Result<void> define(std::int32_t index, ValueId value);

 private:
  ModelFile& file_;
  const tflite::SubGraph& subgraph_;
  std::size_t depth_;
  std::vector<ValueId> values_;  // by tensor
};

// One operator with its inputs and options, checked as they are asked for.
class OpReader {
 public:
  OpReader(Importer& owner, const tflite::Operator& op, std::string where)
      : importer_(owner), op_(op), where_(std::move(where)) {}

  Importer& importer() { return importer_; }
  Graph& graph() { return importer_.graph; }
  template <typename... Parts>
  tl::unexpected<Error> unsupported(const Parts&... parts) const {
    return fail(ErrorCode::kUnsupported, "tflite: ", where_, ": ", parts...);
  }
  template <typename... Parts>
  tl::unexpected<Error> corrupt(const Parts&... parts) const {
    return fail(ErrorCode::kCorrupt, "tflite: ", where_, ": ", parts...);
  }

  std::size_t input_count() const { return op_.inputs() == nullptr ? 0 : op_.inputs()->size(); }
  std::size_t output_count() const { return op_.outputs() == nullptr ? 0 : op_.outputs()->size(); }
  bool has(std::size_t i) const;
  Result<ValueId> input(std::size_t i);
  Shape shape(ValueId id) const { return importer_.graph.shape(id); }
  Result<std::vector<std::int64_t>> integers(std::size_t i) const;  // of a constant
  Result<Shape> output_shape() const;                               // as the file has it

  // The options of the op's kind. kCorrupt: none, or not of that kind.
  template <typename Options>
  Result<const Options*> options();
  ByteSpan custom_options() const;

  // An axis from -rank to rank - 1, counted from the front.
  Result<std::size_t> axis(std::int64_t axis, std::size_t rank) const;

  Result<void> yield(ValueId value) { return yield(0, value); }
  Result<void> yield(std::size_t output, ValueId value);
  // After the activation that is part of the op.
  Result<void> yield_activated(ValueId value, std::int8_t activation);

 private:
  Importer& importer_;
  const tflite::Operator& op_;
  std::string where_;
};

template <typename Options>
Result<const Options*> OpReader::options() {
  if (op_.options() == nullptr) return corrupt("no options");
  const auto* options = reinterpret_cast<const Options*>(op_.options());
  flatbuffers::Verifier verifier(importer_.file().data(), importer_.file().size());
  if (!options->Verify(verifier)) return corrupt("options that do not hold together");
  return options;
}

using Handler = Result<void> (*)(OpReader&);
struct HandlerRow {
  std::int32_t code;  // of a builtin; kCustom: by name
  const char* name;
  Handler import;
};
inline constexpr std::int32_t kCustom = 32;
// One table a file; import.cpp joins them.
std::span<const HandlerRow> arithmetic_handlers();
std::span<const HandlerRow> control_handlers();
std::span<const HandlerRow> convolution_handlers();
std::span<const HandlerRow> shape_handlers();

}  // namespace inkling::tflite_import
