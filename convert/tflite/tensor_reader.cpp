#include "convert/tflite/tensor_reader.h"

#include <cmath>
#include <cstring>

namespace inkling::tflite_import {

namespace {

constexpr std::int8_t kSparse = 1;
constexpr std::int64_t kSparseElementsMax = std::int64_t{1} << 26;  // a few bytes could name more

// A vector of u8, u16 or i32 as numbers; nothing for another type.
std::optional<std::vector<std::int64_t>> index_vector(tflite::IndexVector type,
                                                      const void* vector) {
  std::vector<std::int64_t> out;
  const auto copy = [&](const auto* table) {
    if (table->values() != nullptr) out.assign(table->values()->begin(), table->values()->end());
  };
  if (vector == nullptr) return std::nullopt;
  switch (type) {
    case tflite::IndexVector::Int32Vector:
      copy(static_cast<const tflite::Int32Vector*>(vector));
      return out;
    case tflite::IndexVector::Uint16Vector:
      copy(static_cast<const tflite::Uint16Vector*>(vector));
      return out;
    case tflite::IndexVector::Uint8Vector:
      copy(static_cast<const tflite::Uint8Vector*>(vector));
      return out;
    default:
      return std::nullopt;
  }
}

// A tensor is stored as a tree: one level a dimension in traversal order, blocks last. A dense
// level has all its indices, a sparse one those that `indices` lists between two `segments`. The
// leaves are the stored values in order.
class SparseReader {
 public:
  struct Level {
    bool sparse = false;
    std::int64_t size = 0;
    std::vector<std::int64_t> segments, indices;
  };

  // kCorrupt: a tree that contradicts itself or the shape.
  static Result<std::vector<std::int64_t>> places(const Shape& shape,
                                                  const tflite::SparsityParameters& sparsity) {
    SparseReader reader(shape);
    INK_CHECK_OK(reader.read(sparsity));
    if (!reader.walk(0, 0)) return broken();
    return std::move(reader.places_);
  }

 private:
  explicit SparseReader(const Shape& shape) : shape_(shape), strides_(strides_of(shape)) {}

  static tl::unexpected<Error> broken() {
    return fail(ErrorCode::kCorrupt, "a sparse tensor that contradicts itself");
  }

  Result<void> read(const tflite::SparsityParameters& sparsity) {
    if (sparsity.traversal_order() == nullptr || sparsity.dimensions() == nullptr ||
        sparsity.traversal_order()->size() != sparsity.dimensions()->size())
      return broken();
    const std::size_t blocks = sparsity.block_map() == nullptr ? 0 : sparsity.block_map()->size();
    const std::size_t rank = shape_.rank();
    if (sparsity.dimensions()->size() != rank + blocks || blocks > rank) return broken();
    block_sizes_.assign(rank, 1);
    for (const tflite::DimensionMetadata* d : *sparsity.dimensions()) {
      Level level{
          .sparse = d->format() == kSparse, .size = d->dense_size(), .segments = {}, .indices = {}};
      if (level.sparse) {
        auto segments = index_vector(d->segments_type(), d->segments());
        auto indices = index_vector(d->indices_type(), d->indices());
        if (!segments || !indices) return broken();
        level.segments = std::move(*segments);
        level.indices = std::move(*indices);
      } else if (level.size < 0) {
        return broken();
      }
      levels_.push_back(std::move(level));
    }
    std::vector<bool> seen(rank + blocks);
    for (const std::int32_t d : *sparsity.traversal_order()) {
      if (d < 0 || static_cast<std::size_t>(d) >= rank + blocks ||
          seen[static_cast<std::size_t>(d)])
        return broken();
      seen[static_cast<std::size_t>(d)] = true;
      order_.push_back(static_cast<std::size_t>(d));
    }
    for (std::size_t b = 0; b < blocks; ++b) {
      const std::int32_t axis = sparsity.block_map()->Get(static_cast<flatbuffers::uoffset_t>(b));
      if (axis < 0 || static_cast<std::size_t>(axis) >= rank) return broken();
      block_axes_.push_back(static_cast<std::size_t>(axis));
      for (std::size_t level = 0; level < order_.size(); ++level) {
        if (order_[level] == rank + b) block_sizes_[block_axes_.back()] = levels_[level].size;
      }
    }
    at_.assign(rank, 0);
    steps_left_ = static_cast<std::int64_t>(levels_.size()) * shape_.elements();
    return {};
  }

  // `node` counts the nodes of this level from the left.
  bool walk(std::size_t level, std::int64_t node) {
    if (level == levels_.size()) {
      std::int64_t place = 0;
      for (std::size_t axis = 0; axis < at_.size(); ++axis) {
        if (at_[axis] < 0 || at_[axis] >= shape_[axis]) return false;
        place += at_[axis] * strides_[axis];
      }
      places_.push_back(place);
      return places_.size() <= static_cast<std::size_t>(shape_.elements());
    }
    const Level& l = levels_[level];
    if (!l.sparse) {
      for (std::int64_t i = 0; i < l.size; ++i) {
        if (!step(level, i, node * l.size + i)) return false;
      }
      return true;
    }
    if (node < 0 || static_cast<std::size_t>(node) + 1 >= l.segments.size()) return false;
    const std::int64_t begin = l.segments[static_cast<std::size_t>(node)],
                       end = l.segments[static_cast<std::size_t>(node) + 1];
    if (begin < 0 || begin > end || end > static_cast<std::int64_t>(l.indices.size())) return false;
    for (std::int64_t i = begin; i < end; ++i) {
      if (!step(level, l.indices[static_cast<std::size_t>(i)], i)) return false;
    }
    return true;
  }

  bool step(std::size_t level, std::int64_t index, std::int64_t child) {
    const std::size_t dimension = order_[level], rank = shape_.rank();
    const bool block = dimension >= rank;
    const std::size_t axis = block ? block_axes_[dimension - rank] : dimension;
    // A level has no more nodes than the tensor has elements; without leaves nothing else ends
    // this.
    if (--steps_left_ < 0) return false;
    // Indices come from the file: checked at the leaf, kept small here.
    if (index < 0 || index > kElementsMax || block_sizes_[axis] > kElementsMax) return false;
    const std::int64_t offset = block ? index : index * block_sizes_[axis];
    at_[axis] += offset;
    const bool good = walk(level + 1, child);
    at_[axis] -= offset;
    return good;
  }

  const Shape& shape_;
  std::array<std::int64_t, kRankMax> strides_;
  std::vector<Level> levels_;            // in traversal order
  std::vector<std::size_t> order_;       // level -> dimension; from rank on: blocks
  std::vector<std::size_t> block_axes_;  // block -> axis
  std::vector<std::int64_t> block_sizes_;
  std::vector<std::int64_t> at_, places_;
  std::int64_t steps_left_ = 0;
};

Result<Tensor> read_dense(const Shape& shape, DType dtype, ByteSpan data) {
  const TensorSpec spec{dtype, shape};
  if (data.size() != spec.bytes()) {
    return fail(ErrorCode::kCorrupt, spec, " with ", data.size(), " bytes, expected ",
                spec.bytes());
  }
  Tensor tensor = Tensor::zeros(spec);
  if (!data.empty()) std::memcpy(tensor.view().data, data.data(), data.size());
  return tensor;
}

Result<Tensor> read_sparse(const Shape& shape, DType dtype, ByteSpan data,
                           const tflite::SparsityParameters& sparsity) {
  if (shape.elements() > kSparseElementsMax)
    return fail(ErrorCode::kResourceLimit, "a sparse tensor ", shape, ", limit ",
                kSparseElementsMax, " elements");
  INK_TRY(const auto places, SparseReader::places(shape, sparsity));
  const std::size_t width = dtype_bytes(dtype);
  if (data.size() != places.size() * width) {
    return fail(ErrorCode::kCorrupt, "a sparse tensor of ", places.size(), " values with ",
                data.size(), " bytes");
  }
  Tensor tensor = Tensor::zeros({dtype, shape});
  auto* bytes = static_cast<std::uint8_t*>(tensor.view().data);
  for (std::size_t i = 0; i < places.size(); ++i)
    std::memcpy(bytes + static_cast<std::size_t>(places[i]) * width, data.data() + i * width,
                width);
  return tensor;
}

template <typename T>
Tensor as_floats(const Tensor& from) {
  Tensor to = Tensor::zeros({DType::kF32, from.shape()});
  const auto in = from.data<T>();
  const auto out = to.mutable_data<float>();
  for (std::size_t i = 0; i < in.size(); ++i) {
    if constexpr (std::is_same_v<T, Half>) {
      out[i] = to_float(in[i]);
    } else {
      out[i] = static_cast<float>(in[i]);
    }
  }
  return to;
}

Result<Tensor> to_floats(const Tensor& from) {
  switch (from.dtype()) {
    case DType::kF16:
      return as_floats<Half>(from);
    case DType::kI8:
      return as_floats<std::int8_t>(from);
    case DType::kU8:
      return as_floats<std::uint8_t>(from);
    case DType::kI16:
      return as_floats<std::int16_t>(from);
    case DType::kI32:
      return as_floats<std::int32_t>(from);
    case DType::kI64:
      return as_floats<std::int64_t>(from);
    default:
      return fail(ErrorCode::kUnsupported, from.spec(), " with a scale");
  }
}

// (q - zero_point) scale, in place.
void dequantize(Tensor& tensor, const Quantization& q) {
  const auto values = tensor.mutable_data<float>();
  const std::int64_t stride = strides_of(tensor.shape())[q.axis];
  const auto size = static_cast<std::int64_t>(q.scales.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto channel =
        size == 1 ? std::size_t{0}
                  : static_cast<std::size_t>(static_cast<std::int64_t>(i) / stride % size);
    values[i] = (values[i] - static_cast<float>(q.zero_points[channel])) * q.scales[channel];
  }
}

}  // namespace

Result<std::optional<Quantization>> quantization_of(const tflite::Tensor& tensor) {
  const auto* parameters = tensor.quantization();
  if (parameters == nullptr || parameters->scale() == nullptr || parameters->scale()->size() == 0)
    return std::nullopt;
  INK_TRY(const Shape shape, shape_of(tensor));
  Quantization q;
  q.scales.assign(parameters->scale()->begin(), parameters->scale()->end());
  if (const auto* zeros = parameters->zero_point(); zeros != nullptr && zeros->size() > 0) {
    // The verifier lets vectors of eight-byte numbers through that lie at any multiple of four.
    q.zero_points.resize(zeros->size());
    std::memcpy(q.zero_points.data(), zeros->Data(), zeros->size() * sizeof(std::int64_t));
  }
  q.zero_points.resize(q.scales.size(), q.zero_points.size() == 1 ? q.zero_points[0] : 0);
  const std::int32_t axis = parameters->quantized_dimension();
  const bool channels = q.scales.size() > 1;
  if (channels &&
      (axis < 0 || static_cast<std::size_t>(axis) >= shape.rank() ||
       shape[static_cast<std::size_t>(axis)] != static_cast<std::int64_t>(q.scales.size()))) {
    return fail(ErrorCode::kCorrupt, q.scales.size(), " scales along axis ", axis, " of ", shape);
  }
  for (const float scale : q.scales) {
    if (!std::isfinite(scale) || scale < 0) return fail(ErrorCode::kCorrupt, "a scale of ", scale);
  }
  q.axis = channels ? static_cast<std::size_t>(axis) : 0;
  return q;
}

Result<Shape> shape_of(const tflite::Tensor& tensor) {
  std::vector<std::int64_t> dims;
  if (tensor.shape() != nullptr) dims.assign(tensor.shape()->begin(), tensor.shape()->end());
  auto shape = Shape::from(dims);
  if (!shape) return fail(ErrorCode::kCorrupt, shape.error().message);
  return shape;
}

Result<DType> dtype_of(const tflite::Tensor& tensor) {
  static constexpr std::optional<DType> kTypes[] = {
      DType::kF32,  DType::kF16, DType::kI32,  DType::kU8, DType::kI64, std::nullopt,
      DType::kBool, DType::kI16, std::nullopt, DType::kI8, DType::kF64};
  const auto type = static_cast<std::size_t>(tensor.type());
  if (tensor.type() < 0 || type >= std::size(kTypes) || !kTypes[type])
    return fail(ErrorCode::kUnsupported, "element type ", int{tensor.type()});
  return *kTypes[type];
}

Result<Tensor> read_constant(const tflite::Tensor& tensor, ByteSpan data) {
  INK_TRY(const Shape shape, shape_of(tensor));
  INK_TRY(const DType dtype, dtype_of(tensor));
  INK_TRY(const auto quantization, quantization_of(tensor));
  INK_TRY(Tensor stored, tensor.sparsity() != nullptr
                             ? read_sparse(shape, dtype, data, *tensor.sparsity())
                             : read_dense(shape, dtype, data));
  if (!quantization && dtype != DType::kF16) return stored;
  INK_TRY(Tensor floats, to_floats(stored));
  if (quantization) dequantize(floats, *quantization);
  return floats;
}

}  // namespace inkling::tflite_import
