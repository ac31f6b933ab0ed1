#include "convert/onnx/export.h"

#include <onnx/onnx_pb.h>

#include <climits>
#include <cstring>
#include <numeric>

#include "runtime/op.h"
#include "runtime/ops.h"
#include "runtime/session.h"

namespace inkling::onnx_export {

namespace {

constexpr std::int64_t kOpset = 13, kIrVersion = 7;

using Integers = std::vector<std::int64_t>;

onnx::TensorProto::DataType element_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return onnx::TensorProto::FLOAT;
    case DType::kF64:
      return onnx::TensorProto::DOUBLE;
    case DType::kI32:
      return onnx::TensorProto::INT32;
    case DType::kI64:
      return onnx::TensorProto::INT64;
    case DType::kU8:
      return onnx::TensorProto::UINT8;
    case DType::kBool:
      return onnx::TensorProto::BOOL;
    case DType::kI8:
      return onnx::TensorProto::INT8;
    case DType::kF16:
      return onnx::TensorProto::FLOAT16;
    case DType::kI16:
      return onnx::TensorProto::INT16;
    case DType::kU16:
      return onnx::TensorProto::UINT16;
    case DType::kU32:
      return onnx::TensorProto::UINT32;
    case DType::kU64:
      return onnx::TensorProto::UINT64;
    case DType::kBF16:
      return onnx::TensorProto::BFLOAT16;
  }
  return onnx::TensorProto::UNDEFINED;
}

// What has the same name and meaning in both, without attributes.
const char* plain_name(OpKind op) {
  switch (op) {
    case OpKind::kNeg:
      return "Neg";
    case OpKind::kExp:
      return "Exp";
    case OpKind::kLog:
      return "Log";
    case OpKind::kSqrt:
      return "Sqrt";
    case OpKind::kTanh:
      return "Tanh";
    case OpKind::kSigmoid:
      return "Sigmoid";
    case OpKind::kErf:
      return "Erf";
    case OpKind::kAdd:
      return "Add";
    case OpKind::kSub:
      return "Sub";
    case OpKind::kMul:
      return "Mul";
    case OpKind::kDiv:
      return "Div";
    case OpKind::kSin:
      return "Sin";
    case OpKind::kCos:
      return "Cos";
    case OpKind::kTan:
      return "Tan";
    case OpKind::kAsin:
      return "Asin";
    case OpKind::kAcos:
      return "Acos";
    case OpKind::kAtan:
      return "Atan";
    case OpKind::kSinh:
      return "Sinh";
    case OpKind::kCosh:
      return "Cosh";
    case OpKind::kAsinh:
      return "Asinh";
    case OpKind::kAcosh:
      return "Acosh";
    case OpKind::kAtanh:
      return "Atanh";
    case OpKind::kAbs:
      return "Abs";
    case OpKind::kSign:
      return "Sign";
    case OpKind::kFloor:
      return "Floor";
    case OpKind::kCeil:
      return "Ceil";
    case OpKind::kRound:
      return "Round";
    case OpKind::kMaximum:
      return "Max";
    case OpKind::kMinimum:
      return "Min";
    case OpKind::kPow:
      return "Pow";
    case OpKind::kEqual:
      return "Equal";
    case OpKind::kLess:
      return "Less";
    case OpKind::kLessEqual:
      return "LessOrEqual";
    case OpKind::kLogicalAnd:
      return "And";
    case OpKind::kLogicalOr:
      return "Or";
    case OpKind::kWhere:
      return "Where";
    default:
      return nullptr;
  }
}

class Exporter {
 public:
  explicit Exporter(const Model& model) : source_(model.graph) {
    proto_.set_ir_version(kIrVersion);
    proto_.set_producer_name("inkling");
    proto_.add_opset_import()->set_version(kOpset);
    proto_.mutable_graph()->set_name("inkling");
    for (const auto& [key, value] : model.metadata) {
      auto* entry = proto_.add_metadata_props();
      entry->set_key(key);
      entry->set_value(value);
    }
  }

  Result<Bytes> run() {
    if (!source_.updates().empty())
      return fail(ErrorCode::kUnsupported,
                  "export: a graph that updates variables is for training");
    name_values();
    for (const ValueId id : source_.inputs())
      describe(*graph().add_input(), name(id), source_.spec(id));
    for (const Node& node : source_.nodes()) INK_CHECK_OK(add(node));
    for (const NamedValue& output : source_.outputs()) {
      if (name(output.value) != output.name) emit("Identity", {name(output.value)}, output.name);
      describe(*graph().add_output(), output.name, source_.spec(output.value));
    }
    const std::size_t size = proto_.ByteSizeLong();
    if (size > INT_MAX)
      return fail(ErrorCode::kResourceLimit, "export: ", size, " bytes, an ONNX file holds 2 GiB");
    Bytes bytes(size);
    proto_.SerializeToArray(bytes.data(), static_cast<int>(size));
    return bytes;
  }

 private:
  onnx::GraphProto& graph() { return *proto_.mutable_graph(); }

  // Inputs keep their names and results take those of outputs; the rest is numbered, which collides
  // with none.
  void name_values() {
    names_.resize(source_.values().size());
    for (const ValueId id : source_.inputs()) names_[at(id)] = source_.value(id).name;
    for (const NamedValue& output : source_.outputs()) {
      if (source_.value(output.value).kind == ValueKind::kResult &&
          names_[at(output.value)].empty())
        names_[at(output.value)] = output.name;
    }
  }
  static std::size_t at(ValueId id) { return static_cast<std::size_t>(id); }

  std::string fresh() { return concat("ink/", fresh_++); }

  const std::string& name(ValueId id) {
    std::string& name = names_[at(id)];
    if (!name.empty()) return name;
    name = fresh();
    const Value& value = source_.value(id);
    if (value.tensor) initializer(name, *value.tensor);
    return name;
  }

  void describe(onnx::ValueInfoProto& info, const std::string& value_name, const TensorSpec& spec) {
    info.set_name(value_name);
    auto* type = info.mutable_type()->mutable_tensor_type();
    type->set_elem_type(element_type(spec.dtype));
    type->mutable_shape();
    for (const std::int64_t dim : spec.shape.dims())
      type->mutable_shape()->add_dim()->set_dim_value(dim);
  }

  void initializer(const std::string& tensor_name, const Tensor& tensor) {
    auto* proto = graph().add_initializer();
    proto->set_name(tensor_name);
    proto->set_data_type(element_type(tensor.dtype()));
    for (const std::int64_t dim : tensor.shape().dims()) proto->add_dims(dim);
    proto->set_raw_data(tensor.raw(), tensor.spec().bytes());
  }

  std::string integers(const Integers& values) {
    const std::string value_name = fresh();
    initializer(value_name, Tensor::from<std::int64_t>({static_cast<std::int64_t>(values.size())},
                                                       std::span<const std::int64_t>(values)));
    return value_name;
  }

  // A constant of the element type of a float value.
  std::string number_like(ValueId like, double value) {
    const std::string value_name = fresh();
    if (source_.spec(like).dtype == DType::kF64) {
      initializer(value_name, Tensor::scalar<double>(value));
    } else {
      initializer(value_name, Tensor::scalar<float>(static_cast<float>(value)));
    }
    return value_name;
  }

  onnx::NodeProto& emit(const char* op, const std::vector<std::string>& inputs,
                        const std::string& output) {
    auto* node = graph().add_node();
    node->set_op_type(op);
    node->set_name(concat(op, "_", graph().node_size()));
    for (const std::string& input : inputs) node->add_input(input);
    node->add_output(output);
    return *node;
  }

  static void set(onnx::NodeProto& node, const char* attribute, std::int64_t value) {
    auto* a = node.add_attribute();
    a->set_name(attribute);
    a->set_type(onnx::AttributeProto::INT);
    a->set_i(value);
  }
  static void set(onnx::NodeProto& node, const char* attribute,
                  std::span<const std::int64_t> values) {
    auto* a = node.add_attribute();
    a->set_name(attribute);
    a->set_type(onnx::AttributeProto::INTS);
    for (const std::int64_t value : values) a->add_ints(value);
  }

  std::string transposed(const std::string& x, const Integers& permutation) {
    const std::string out = fresh();
    set(emit("Transpose", {x}, out), "perm", permutation);
    return out;
  }

  Result<void> add(const Node& node) {
    const std::string out = name(node.outputs[0]);
    const auto in = [&](std::size_t i) { return name(node.inputs[i]); };
    if (const char* plain = plain_name(node.op)) {
      std::vector<std::string> inputs;
      for (std::size_t i = 0; i < node.inputs.size(); ++i) inputs.push_back(in(i));
      emit(plain, inputs, out);
      return {};
    }
    switch (node.op) {
      case OpKind::kClamp:
        return add_clamp(node, in(0), out);
      case OpKind::kReshape:
        emit("Reshape", {in(0), integers(node.attrs.integers(Attr::kShape))}, out);
        // A size of 0 is a size here, and "as before" there unless this is said.
        if (source_.shape(node.outputs[0]).elements() == 0) return refuse(node, "an empty tensor");
        return {};
      case OpKind::kBroadcastTo:
        emit("Expand", {in(0), integers(node.attrs.integers(Attr::kShape))}, out);
        return {};
      case OpKind::kSumTo:
        return add_reduction(node, "ReduceSum", out);
      case OpKind::kMaxTo:
        return add_reduction(node, "ReduceMax", out);
      case OpKind::kMinTo:
        return add_reduction(node, "ReduceMin", out);
      case OpKind::kProdTo:
        return add_reduction(node, "ReduceProd", out);
      case OpKind::kTranspose:
        set(emit("Transpose", {in(0)}, out), "perm", node.attrs.integers(Attr::kPermutation));
        return {};
      case OpKind::kSlice:
        return add_slice(node, out);
      case OpKind::kPad: {
        Integers pads = node.attrs.integers(Attr::kBefore);
        const Integers& after = node.attrs.integers(Attr::kAfter);
        pads.insert(pads.end(), after.begin(), after.end());
        if (!is_float(source_.spec(node.inputs[0]).dtype)) return refuse(node, "not of floats");
        emit("Pad",
             {in(0), integers(pads), number_like(node.inputs[0], node.attrs.real(Attr::kValue))},
             out);
        return {};
      }
      case OpKind::kConcat: {
        std::vector<std::string> inputs;
        for (std::size_t i = 0; i < node.inputs.size(); ++i) inputs.push_back(in(i));
        set(emit("Concat", inputs, out), "axis", node.attrs.integer(Attr::kAxis));
        return {};
      }
      case OpKind::kMatmul:
        return add_matmul(node, out);
      case OpKind::kConv2d:
      case OpKind::kDepthwiseConv2d:
        return add_convolution(node, out);
      case OpKind::kConv2dInputGradient:
        return add_transposed_convolution(node, out);
      case OpKind::kMaxPool:
      case OpKind::kAvgPool:
        return add_pool(node, out);
      case OpKind::kSoftmax:
        set(emit("Softmax", {in(0)}, out), "axis", std::int64_t{-1});
        return {};
      case OpKind::kLogSoftmax:
        set(emit("LogSoftmax", {in(0)}, out), "axis", std::int64_t{-1});
        return {};
      case OpKind::kGather:
        set(emit("Gather", {in(0), in(1)}, out), "axis", node.attrs.integer(Attr::kAxis));
        return {};
      case OpKind::kCast:
        set(emit("Cast", {in(0)}, out), "to",
            std::int64_t{element_type(source_.spec(node.outputs[0]).dtype)});
        return {};
      case OpKind::kCumsum: {
        auto& cumsum = emit("CumSum", {in(0), integers({node.attrs.integer(Attr::kAxis)})}, out);
        set(cumsum, "exclusive", node.attrs.integer(Attr::kExclusive));
        set(cumsum, "reverse", node.attrs.integer(Attr::kReverse));
        return {};
      }
      case OpKind::kTopK: {
        auto& top = emit("TopK", {in(0), integers({node.attrs.integer(Attr::kCount)})}, out);
        top.add_output(name(node.outputs[1]));
        set(top, "largest", std::int64_t{node.attrs.integer(Attr::kMode) == 0});
        return {};
      }
      default:
        return refuse(node, "ONNX has no counterpart");
    }
  }

  Result<void> refuse(const Node& node, const char* why) const {
    return fail(ErrorCode::kUnsupported, "export: ", op_name(node.op), " '",
                source_.value(node.outputs[0]).name, "': ", why);
  }

  Result<void> add_clamp(const Node& node, const std::string& x, const std::string& out) {
    const double low = node.attrs.real(Attr::kMin, -kInfinity),
                 high = node.attrs.real(Attr::kMax, kInfinity);
    if (low == 0 && high == kInfinity) {
      emit("Relu", {x}, out);
      return {};
    }
    std::vector<std::string> inputs = {x, "", ""};
    if (low != -kInfinity) inputs[1] = number_like(node.inputs[0], low);
    if (high != kInfinity) inputs[2] = number_like(node.inputs[0], high);
    if (inputs[2].empty()) inputs.pop_back();
    emit("Clip", inputs, out);
    return {};
  }

  // To a shape: the axes that shrink to 1, or that the shape lacks in front, are reduced.
  Result<void> add_reduction(const Node& node, const char* op, const std::string& out) {
    const Shape &x = source_.shape(node.inputs[0]), &to = source_.shape(node.outputs[0]);
    const std::size_t lacking = x.rank() - to.rank();
    Integers axes;
    for (std::size_t axis = 0; axis < x.rank(); ++axis) {
      if (axis < lacking || (to[axis - lacking] == 1 && x[axis] != 1))
        axes.push_back(static_cast<std::int64_t>(axis));
    }
    const std::string reduced = axes.empty() ? name(node.inputs[0]) : fresh();
    if (!axes.empty()) {
      if (node.op == OpKind::kSumTo) {  // its axes became an input earlier than those of the others
        emit(op, {name(node.inputs[0]), integers(axes)}, reduced);
      } else {
        set(emit(op, {name(node.inputs[0])}, reduced), "axes", axes);
      }
    }
    emit("Reshape", {reduced, integers(Integers(to.dims().begin(), to.dims().end()))}, out);
    return {};
  }

  Result<void> add_slice(const Node& node, const std::string& out) {
    const Integers& starts = node.attrs.integers(Attr::kStarts);
    Integers ends = node.attrs.integers(Attr::kSizes), axes(starts.size());
    for (std::size_t i = 0; i < starts.size(); ++i) ends[i] += starts[i];
    std::iota(axes.begin(), axes.end(), std::int64_t{0});
    emit("Slice", {name(node.inputs[0]), integers(starts), integers(ends), integers(axes)}, out);
    return {};
  }

  // What a fused node adds: not part of models as they are saved.
  bool is_fused(const Node& node) const {
    return node.inputs.size() > 2 || node.attrs.has(Attr::kMin) || node.attrs.has(Attr::kMax);
  }

  Result<void> add_matmul(const Node& node, const std::string& out) {
    if (is_fused(node)) return refuse(node, "fused");
    std::vector<std::string> operands;
    for (std::size_t i = 0; i < 2; ++i) {
      std::string operand = name(node.inputs[i]);
      if (node.attrs.integer(i == 0 ? Attr::kTransposeA : Attr::kTransposeB) != 0) {
        Integers permutation(source_.shape(node.inputs[i]).rank());
        std::iota(permutation.begin(), permutation.end(), std::int64_t{0});
        std::swap(permutation.back(), permutation[permutation.size() - 2]);
        operand = transposed(operand, permutation);
      }
      operands.push_back(std::move(operand));
    }
    emit("MatMul", operands, out);
    return {};
  }

  // Weights in the other order: computed here, since they are nearly always constants.
  Result<std::string> weights(const Node& node, const Integers& permutation, const Shape& as) {
    const Value& value = source_.value(node.inputs[1]);
    if (!value.tensor || value.spec.dtype != DType::kF32) {
      INK_CHECK_OK(refuse(node, "weights that are no f32 constant"));
    }
    Graph g;
    g.output("w", transpose(g, reshape(g, g.constant(value.tensor), as), permutation));
    INK_TRY(Session session, Session::create(g, {.optimize = false}));
    session.run();
    INK_TRY(const TensorView view, session.output("w"));
    const std::string weights_name = fresh();
    initializer(weights_name,
                Tensor::from<float>(view.shape(), std::span<const float>(view.span<float>())));
    return weights_name;
  }

  void set_window(onnx::NodeProto& to, const Node& node) const {
    set(to, "strides", node.attrs.integers(Attr::kStrides));
    set(to, "pads", node.attrs.integers(Attr::kPads));
  }

  Result<void> add_convolution(const Node& node, const std::string& out) {
    if (is_fused(node)) return refuse(node, "fused");
    const Shape& w = source_.shape(node.inputs[1]);
    const bool depthwise = node.op == OpKind::kDepthwiseConv2d;
    const Shape as = depthwise ? Shape{w[0], w[1], 1, w[2]} : w;
    INK_TRY(const std::string kernel, weights(node, {3, 2, 0, 1}, as));
    const std::string x = transposed(name(node.inputs[0]), {0, 3, 1, 2}), y = fresh();
    auto& conv = emit("Conv", {x, kernel}, y);
    set_window(conv, node);
    set(conv, "dilations", node.attrs.integers(Attr::kDilations));
    set(conv, "kernel_shape", Integers{w[0], w[1]});
    set(conv, "group", depthwise ? w[2] : std::int64_t{1});
    set(emit("Transpose", {y}, out), "perm", Integers{0, 2, 3, 1});
    return {};
  }

  Result<void> add_transposed_convolution(const Node& node, const std::string& out) {
    const Shape &y = source_.shape(node.inputs[0]), &w = source_.shape(node.inputs[1]),
                &x = source_.shape(node.outputs[0]);
    INK_TRY(const std::string kernel, weights(node, {3, 2, 0, 1}, w));
    const Integers &strides = node.attrs.integers(Attr::kStrides),
                   &pads = node.attrs.integers(Attr::kPads),
                   &dilations = node.attrs.integers(Attr::kDilations);
    Integers more(2);
    for (std::size_t i = 0; i < 2; ++i) {
      more[i] = x[i + 1] - ((y[i + 1] - 1) * strides[i] + (w[i] - 1) * dilations[i] + 1 - pads[i] -
                            pads[i + 2]);
    }
    const std::string in = transposed(name(node.inputs[0]), {0, 3, 1, 2}), image = fresh();
    auto& conv = emit("ConvTranspose", {in, kernel}, image);
    set_window(conv, node);
    set(conv, "dilations", dilations);
    set(conv, "kernel_shape", Integers{w[0], w[1]});
    set(conv, "output_padding", more);
    set(emit("Transpose", {image}, out), "perm", Integers{0, 2, 3, 1});
    return {};
  }

  Result<void> add_pool(const Node& node, const std::string& out) {
    const Integers& dilations = node.attrs.integers(Attr::kDilations);
    const bool average = node.op == OpKind::kAvgPool;
    if (average && (dilations[0] != 1 || dilations[1] != 1)) return refuse(node, "dilated");
    const std::string x = transposed(name(node.inputs[0]), {0, 3, 1, 2}), y = fresh();
    auto& pool = emit(average ? "AveragePool" : "MaxPool", {x}, y);
    set_window(pool, node);
    set(pool, "kernel_shape", node.attrs.integers(Attr::kKernel));
    if (average) {
      set(pool, "count_include_pad", node.attrs.integer(Attr::kCountPadding));
    } else {
      set(pool, "dilations", dilations);
    }
    set(emit("Transpose", {y}, out), "perm", Integers{0, 2, 3, 1});
    return {};
  }

  const Graph& source_;
  onnx::ModelProto proto_;
  std::vector<std::string> names_;
  std::size_t fresh_ = 0;
};

}  // namespace

Result<Bytes> export_model(const Model& model) { return Exporter(model).run(); }

}  // namespace inkling::onnx_export
