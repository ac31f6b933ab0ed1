#include "convert/onnx/importer.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "runtime/op.h"

namespace inkling::onnx_import {

namespace {

// What may be computed while importing, so that a few bytes cannot make us work for hours: bytes of
// results, nodes that run (loops are unrolled), and how deep subgraphs nest.
constexpr std::size_t kKnownBytesMax = std::size_t{256} << 20;
constexpr std::size_t kNodesRunMax = 200000;
constexpr std::size_t kScopesMax = 32;
// Of one value: handlers make lists as long as an axis.
constexpr std::int64_t kValueElementsMax = std::int64_t{1} << 26;

Handler find_handler(std::string_view op) {
  static const auto kHandlers = [] {
    std::unordered_map<std::string_view, Handler> all;
    for (const auto& table :
         {arithmetic_handlers(), control_handlers(), convolution_handlers(), dependent_handlers(),
          indexing_handlers(), linear_handlers(), loss_handlers(), normalization_handlers(),
          quantization_handlers(), recurrent_handlers(), reduction_handlers(), sampling_handlers(),
          sequence_handlers(), shape_handlers(), signal_handlers(), training_handlers()}) {
      for (const HandlerRow& row : table) all.emplace(row.op, row.import);
    }
    return all;
  }();
  const auto found = kHandlers.find(op);
  return found == kHandlers.end() ? nullptr : found->second;
}

}  // namespace

const Imported* Importer::find(const std::string& name) const {
  for (std::size_t i = scopes_.size(); i-- > 0;) {
    const auto found = scopes_[i].find(name);
    if (found != scopes_[i].end()) return &found->second;
  }
  return nullptr;
}

Result<ValueId> Importer::constant(const onnx::TensorProto& proto) {
  auto& tensor = weights_[&proto];
  if (!tensor) {
    INK_TRY(Tensor read, read_tensor(proto));
    tensor = std::make_shared<const Tensor>(std::move(read));
  }
  return graph.constant(tensor);
}

Result<void> Importer::run(const onnx::GraphProto& proto) {
  for (const auto& initializer : proto.initializer()) {
    INK_TRY(const ValueId value, constant(initializer));
    define(initializer.name(), {value, std::nullopt});
  }
  if (proto.sparse_initializer_size() > 0)
    return fail(ErrorCode::kUnsupported, "onnx: sparse initializers are not supported");
  for (const auto& node : proto.node()) {
    INK_CHECK_OK(expect_small_values());
    NodeReader reader(*this, node);
    if (++nodes_run_ > kNodesRunMax)
      return fail(ErrorCode::kResourceLimit, "onnx: loops unroll to more than ", kNodesRunMax,
                  " nodes");
    const bool standard = node.domain().empty() || node.domain() == "ai.onnx" ||
                          node.domain() == "ai.onnx.preview.training";
    const Handler handler = standard ? find_handler(node.op_type()) : nullptr;
    if (!handler)
      return reader.unsupported("op ", standard ? "" : node.domain() + ".", node.op_type(),
                                " is not supported");
    INK_CHECK_OK(handler(reader));
  }
  return {};
}

Result<void> Importer::expect_small_values() {
  for (; values_seen_ < graph.values().size(); ++values_seen_) {
    const TensorSpec& spec = graph.values()[values_seen_].spec;
    if (spec.shape.elements() > kValueElementsMax)
      return fail(ErrorCode::kResourceLimit, "onnx: a value ", spec, ", limit ", kValueElementsMax,
                  " elements");
  }
  return {};
}

Result<std::vector<Imported>> Importer::call(const onnx::GraphProto& body,
                                             std::vector<Imported> inputs) {
  if (static_cast<std::size_t>(body.input_size()) != inputs.size())
    return fail(ErrorCode::kCorrupt, "onnx: subgraph '", body.name(), "' takes ", body.input_size(),
                " inputs, given ", inputs.size());
  if (scopes_.size() >= kScopesMax)
    return fail(ErrorCode::kResourceLimit, "onnx: subgraphs nest deeper than ", kScopesMax);
  scopes_.emplace_back();
  for (std::size_t i = 0; i < inputs.size(); ++i)
    define(body.input(static_cast<int>(i)).name(), std::move(inputs[i]));
  const auto done = run(body);
  std::vector<Imported> outputs;
  const std::string* missing = nullptr;
  for (const auto& output : body.output()) {
    const Imported* value = done ? find(output.name()) : nullptr;
    if (value) {
      outputs.push_back(*value);
    } else {
      missing = &output.name();
    }
  }
  scopes_.pop_back();
  INK_CHECK_OK(done);
  if (missing)
    return fail(ErrorCode::kCorrupt, "onnx: subgraph output '", *missing, "' is not computed");
  return outputs;
}

Result<const Tensor*> Importer::known(ValueId id, std::set<std::string>& depends_on) {
  const auto at = [](ValueId value) { return static_cast<std::size_t>(value); };
  INK_CHECK_OK(graph.status());
  known_.resize(graph.values().size());
  producer_.resize(graph.values().size());
  for (; nodes_seen_ < graph.nodes().size(); ++nodes_seen_) {
    for (const ValueId output : graph.nodes()[nodes_seen_].outputs)
      producer_[at(output)] = nodes_seen_;
  }
  // The nodes that the value needs, found from the last to the first: they run in order.
  std::vector<ValueId> open{id};
  std::set<std::size_t> nodes;
  bool fixed = true;
  while (!open.empty()) {
    const ValueId value = open.back();
    open.pop_back();
    if (known_[at(value)]) continue;
    const Value& leaf = graph.value(value);
    if (leaf.kind == ValueKind::kConstant) {
      known_[at(value)] = leaf.tensor;
    } else if (leaf.kind != ValueKind::kResult) {
      depends_on.insert(leaf.name);
      fixed = false;
    } else if (nodes.insert(producer_[at(value)]).second) {
      const Node& node = graph.nodes()[producer_[at(value)]];
      open.insert(open.end(), node.inputs.begin(), node.inputs.end());
    }
  }
  if (!fixed) return nullptr;
  for (const std::size_t node : nodes) INK_CHECK_OK(evaluate(graph.nodes()[node]));
  return known_[at(id)].get();
}

Result<void> Importer::evaluate(const Node& node) {
  std::vector<TensorView> in, out;
  for (const ValueId input : node.inputs) {
    const Tensor& tensor = *known_[static_cast<std::size_t>(input)];
    in.push_back({tensor.spec(), const_cast<void*>(tensor.raw())});
  }
  std::vector<Tensor> results;
  for (const ValueId output : node.outputs) {
    known_bytes_ += graph.spec(output).bytes();
    if (known_bytes_ > kKnownBytesMax)
      return fail(ErrorCode::kResourceLimit, "onnx: more than ", kKnownBytesMax,
                  " bytes to compute while importing");
    results.push_back(Tensor::zeros(graph.spec(output)));
  }
  for (Tensor& result : results) out.push_back(result.view());
  ThreadPool pool(1);
  op_def(node.op).reference({in, out, node.attrs, pool});
  for (std::size_t i = 0; i < results.size(); ++i) {
    known_[static_cast<std::size_t>(node.outputs[i])] =
        std::make_shared<const Tensor>(std::move(results[i]));
  }
  return {};
}

std::string NodeReader::where() const {
  const std::string name = !node_.name().empty()     ? node_.name()
                           : node_.output_size() > 0 ? node_.output(0)
                                                     : "";
  return concat("node '", name, "' (", node_.op_type(), ")");
}

Result<const Imported*> NodeReader::input(std::size_t i) const {
  if (!has(i)) return corrupt("input ", i, " is missing");
  const Imported* value = importer_.find(node_.input(static_cast<int>(i)));
  if (!value)
    return corrupt("input '", node_.input(static_cast<int>(i)), "' is not defined before it");
  return value;
}

Result<ValueId> NodeReader::tensor(std::size_t i) const {
  INK_TRY(const Imported* value, input(i));
  if (value->tensor == kNoValue) return corrupt("input ", i, " is not a tensor");
  return value->tensor;
}

Result<ValueId> NodeReader::number(std::size_t i) {
  INK_TRY(const ValueId value, tensor(i));
  const DType type = dtype(value);
  if (type == DType::kF16 || type == DType::kBF16) {
    half_ = type;
    return cast(graph(), value, DType::kF32);
  }
  if (!is_number(type)) return unsupported("input ", i, " is ", graph().spec(value));
  return value;
}

Result<ValueId> NodeReader::floats(std::size_t i) {
  INK_TRY(const ValueId value, number(i));
  if (!is_float(dtype(value)))
    return unsupported("input ", i, " is ", graph().spec(value), ", expected floats");
  return value;
}

Result<const Tensor*> NodeReader::known(std::size_t i) const {
  INK_TRY(const ValueId id, tensor(i));
  INK_TRY(const Tensor* value, importer_.known(id));
  if (!value) {
    std::string names;
    for (const std::string& name : importer_.needed()) names += concat(" '", name, "'");
    return unsupported("input ", i, " must be known while importing and depends on", names);
  }
  return value;
}

Result<std::vector<std::int64_t>> NodeReader::integers(std::size_t i) const {
  INK_TRY(const Tensor* value, known(i));
  const auto list = [&](auto tag) {
    const auto data = value->data<decltype(tag)>();
    return std::vector<std::int64_t>(data.begin(), data.end());
  };
  switch (value->dtype()) {
    case DType::kI64:
      return list(std::int64_t{});
    case DType::kI32:
      return list(std::int32_t{});
    case DType::kU8:
      return list(std::uint8_t{});
    case DType::kBool:
      return list(bool{});
    default:
      return unsupported("input ", i, " is ", value->spec(), ", expected integers");
  }
}

Result<double> NodeReader::real(std::size_t i) const {
  INK_TRY(const Tensor* value, known(i));
  if (value->shape().elements() != 1)
    return unsupported("input ", i, " is ", value->spec(), ", expected one number");
  switch (value->dtype()) {
    case DType::kF32:
      return static_cast<double>(value->data<float>()[0]);
    case DType::kF64:
      return value->data<double>()[0];
    case DType::kF16:
      return static_cast<double>(to_float(value->data<Half>()[0]));
    default:
      INK_TRY(const auto list, integers(i));
      return static_cast<double>(list[0]);
  }
}

const onnx::AttributeProto* NodeReader::attribute(const char* name) const {
  for (const auto& attribute : node_.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

std::int64_t NodeReader::integer_attribute(const char* name, std::int64_t fallback) const {
  const auto* found = attribute(name);
  return found ? found->i() : fallback;
}

double NodeReader::real_attribute(const char* name, double fallback) const {
  const auto* found = attribute(name);
  return found ? static_cast<double>(found->f()) : fallback;
}

std::string NodeReader::text_attribute(const char* name, const char* fallback) const {
  const auto* found = attribute(name);
  return found ? found->s() : fallback;
}

std::vector<std::int64_t> NodeReader::integers_attribute(const char* name) const {
  const auto* found = attribute(name);
  return found ? std::vector<std::int64_t>(found->ints().begin(), found->ints().end())
               : std::vector<std::int64_t>();
}

std::vector<double> NodeReader::reals_attribute(const char* name) const {
  const auto* found = attribute(name);
  return found ? std::vector<double>(found->floats().begin(), found->floats().end())
               : std::vector<double>();
}

std::vector<std::string> NodeReader::texts_attribute(const char* name) const {
  const auto* found = attribute(name);
  return found ? std::vector<std::string>(found->strings().begin(), found->strings().end())
               : std::vector<std::string>();
}

Result<std::size_t> NodeReader::axis(std::int64_t axis, std::size_t rank) const {
  const auto size = static_cast<std::int64_t>(rank);
  if (axis < -size || axis >= size) return corrupt("axis ", axis, " of a tensor of rank ", rank);
  return static_cast<std::size_t>(axis < 0 ? axis + size : axis);
}

Result<std::vector<std::int64_t>> NodeReader::axes(std::size_t i, std::size_t rank) const {
  std::vector<std::int64_t> axes = integers_attribute("axes");
  if (has(i)) {
    INK_TRY(axes, integers(i));
  }
  for (std::int64_t& value : axes) {
    INK_TRY(const std::size_t checked, axis(value, rank));
    value = static_cast<std::int64_t>(checked);
  }
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end())
    return corrupt("an axis is named twice");
  return axes;
}

Result<DType> NodeReader::dtype_of(std::int64_t type) const {
  const auto dtype = dtype_from(type);
  if (!dtype) return unsupported("element type ", type, " (strings and complex numbers are not)");
  return *dtype;
}

Result<void> NodeReader::yield(std::size_t i, ValueId value) {
  if (output_count() == 0) return corrupt("no output");
  if (!wants(i)) return {};
  if (half_ && graph().status() && dtype(value) == DType::kF32)
    value = cast(graph(), value, *half_);
  if (const auto& status = graph().status(); !status) return corrupt(status.error().message);
  graph().label(value, node_.output(static_cast<int>(i)));
  return yield(i, Imported{value, std::nullopt});
}

Result<void> NodeReader::yield_list(std::vector<Imported> items) {
  return yield(0, Imported{kNoValue, std::move(items)});
}

Result<void> NodeReader::yield(std::size_t i, Imported value) {
  if (wants(i)) importer_.define(node_.output(static_cast<int>(i)), std::move(value));
  return {};
}

Result<Shape> shape_from(std::span<const std::int64_t> dims) {
  auto shape = Shape::from(dims);
  if (!shape) return fail(ErrorCode::kCorrupt, "onnx: ", shape.error().message);
  return shape;
}

Shape shape_or_latch(Graph& g, std::span<const std::int64_t> dims) {
  const auto shape = Shape::from(dims);
  if (shape) return *shape;
  g.latch(shape.error());
  return Shape{};
}

ValueId whole_numbers(Graph& g, const Shape& shape, std::span<const std::int64_t> values) {
  return g.constant(Tensor::from<std::int64_t>(shape, values));
}

std::vector<std::int64_t> counting(std::int64_t n) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(std::max<std::int64_t>(n, 0)));
  std::iota(values.begin(), values.end(), std::int64_t{0});
  return values;
}

Shape without(const Shape& shape, std::size_t axis) {
  std::vector<std::int64_t> dims(shape.dims().begin(), shape.dims().end());
  dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
  return *Shape::from(dims);
}

ValueId swap_axes(Graph& g, ValueId x, std::size_t a, std::size_t b) {
  if (a == b) return x;
  auto order = counting(static_cast<std::int64_t>(g.shape(x).rank()));
  std::swap(order[a], order[b]);
  return transpose(g, x, std::move(order));
}

ValueId axis_to_back(Graph& g, ValueId x, std::size_t axis) {
  auto order = counting(static_cast<std::int64_t>(g.shape(x).rank()));
  if (order.empty() || axis + 1 == order.size()) return x;
  const auto at = order.begin() + static_cast<std::ptrdiff_t>(axis);
  std::rotate(at, at + 1, order.end());
  return transpose(g, x, std::move(order));
}

ValueId axis_from_back(Graph& g, ValueId x, std::size_t axis) {
  auto order = counting(static_cast<std::int64_t>(g.shape(x).rank()));
  if (order.empty() || axis + 1 == order.size()) return x;
  std::rotate(order.begin() + static_cast<std::ptrdiff_t>(axis), order.end() - 1, order.end());
  return transpose(g, x, std::move(order));
}

}  // namespace inkling::onnx_import
