#pragma once
// Tensor: dense numbers in row-major order, with their element type and shape.
//
// A Tensor owns its bytes, or borrows them and keeps their owner alive (weights in a mapped model
// file). Moving is free, copying is spelled clone(). A TensorView is a pointer with a spec and owns
// nothing. Const access from any number of threads is safe; writing needs one owner.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/half.h"

namespace inkling {

// Values are part of the model file: append, never reorder.
enum class DType : std::uint8_t {
  kF32,
  kF64,
  kI32,
  kI64,
  kU8,
  kBool,  // a byte, 0 or 1
  kI8,
  kF16,  // storage: cast to f32 to compute
  kI16,
  kU16,
  kU32,
  kU64,
  kBF16  // storage: cast to f32 to compute
};
inline constexpr std::size_t kDTypeCount = 13;

std::size_t dtype_bytes(DType dtype);
std::string_view dtype_name(DType dtype);  // "f32"
bool is_float(DType dtype);                // f32 or f64: what is computed with
bool is_integer(DType dtype);              // of any width; bool is not
bool is_number(DType dtype);               // is_float or is_integer

template <typename T>
inline constexpr bool kNoDType = false;

template <typename T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::kF32;
  else if constexpr (std::is_same_v<T, double>)
    return DType::kF64;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return DType::kI32;
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return DType::kI64;
  else if constexpr (std::is_same_v<T, std::uint8_t>)
    return DType::kU8;
  else if constexpr (std::is_same_v<T, bool>)
    return DType::kBool;
  else if constexpr (std::is_same_v<T, std::int8_t>)
    return DType::kI8;
  else if constexpr (std::is_same_v<T, Half>)
    return DType::kF16;
  else if constexpr (std::is_same_v<T, std::int16_t>)
    return DType::kI16;
  else if constexpr (std::is_same_v<T, std::uint16_t>)
    return DType::kU16;
  else if constexpr (std::is_same_v<T, std::uint32_t>)
    return DType::kU32;
  else if constexpr (std::is_same_v<T, std::uint64_t>)
    return DType::kU64;
  else if constexpr (std::is_same_v<T, BFloat16>)
    return DType::kBF16;
  else
    static_assert(kNoDType<T>, "no DType for this type");
}

inline constexpr std::size_t kRankMax = 8;
inline constexpr std::int64_t kElementsMax = std::int64_t{1} << 36;

// Up to kRankMax sizes, each >= 0. The empty shape is a scalar with one element.
class Shape {
 public:
  Shape() = default;
  // Literals. Sizes are not looked at: the ops that take a shape refuse what no tensor can be.
  Shape(std::initializer_list<std::int64_t> dims);
  // kInvalidArgument: a negative size; kResourceLimit: rank or element count over the limits above,
  // where a size of 0 counts as 1, so that leaving an axis out never makes a shape too large.
  static Result<Shape> from(std::span<const std::int64_t> dims);

  std::size_t rank() const { return rank_; }
  std::int64_t operator[](std::size_t axis) const { return dims_[axis]; }
  std::int64_t back() const { return dims_[rank_ - 1]; }
  std::span<const std::int64_t> dims() const { return {dims_.data(), rank_}; }
  std::int64_t elements() const;
  Shape with(std::size_t axis, std::int64_t size) const;

  bool operator==(const Shape& other) const;

 private:
  std::array<std::int64_t, kRankMax> dims_{};
  std::size_t rank_ = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);  // "[2, 3]"

// Element strides of a row-major tensor.
std::array<std::int64_t, kRankMax> strides_of(const Shape& shape);

struct TensorSpec {
  DType dtype = DType::kF32;
  Shape shape;
  std::size_t bytes() const {
    return static_cast<std::size_t>(shape.elements()) * dtype_bytes(dtype);
  }
  bool operator==(const TensorSpec& other) const = default;
};

std::ostream& operator<<(std::ostream& out, const TensorSpec& spec);  // "f32[2, 3]"

struct TensorView {
  TensorSpec spec;
  void* data = nullptr;

  std::int64_t elements() const { return spec.shape.elements(); }
  const Shape& shape() const { return spec.shape; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
  template <typename T>
  std::span<T> span() const {
    INK_INVARIANT(spec.dtype == dtype_of<T>());
    return {static_cast<T*>(data), static_cast<std::size_t>(elements())};
  }
};

inline constexpr std::size_t kTensorAlignment = 64;
// What a block of so many bytes takes.
inline constexpr std::size_t aligned_bytes(std::size_t bytes) {
  return (bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
}

// Where the memory of all tensors and arenas comes from: the C++ runtime, or the app.
struct BlockAllocator {
  void* (*allocate)(void* context, std::size_t bytes, std::size_t alignment) = nullptr;
  void (*release)(void* context, void* block) = nullptr;
  void* context = nullptr;
};
// For the whole process, because a tensor outlives whoever made it. Call it before other threads
// use the library. Null functions: the C++ runtime again. kFailedPrecondition: a tensor is alive.
Result<void> set_block_allocator(const BlockAllocator& allocator);

struct AlignedDelete {
  void operator()(std::byte* p) const;
};
using AlignedBytes = std::unique_ptr<std::byte[], AlignedDelete>;
AlignedBytes allocate_aligned(std::size_t bytes);  // zeroed; never null

class Tensor {
 public:
  Tensor() = default;  // a scalar-shaped tensor without storage; assign before use
  static Tensor zeros(TensorSpec spec);
  template <typename T>
  static Tensor from(Shape shape, std::span<const T> values);  // sizes must agree
  template <typename T>
  static Tensor from(Shape shape, std::initializer_list<T> values) {
    return from<T>(shape, std::span<const T>(values.begin(), values.size()));
  }
  template <typename T>
  static Tensor scalar(T value) {
    return from<T>(Shape{}, {value});
  }
  // Read-only bytes that belong to `owner`, which maps a file or not.
  static Tensor borrow(TensorSpec spec, const void* data, std::shared_ptr<const void> owner,
                       bool mapped = false);

  const TensorSpec& spec() const { return spec_; }
  const Shape& shape() const { return spec_.shape; }
  DType dtype() const { return spec_.dtype; }
  const void* raw() const { return data_; }
  template <typename T>
  std::span<const T> data() const {
    INK_INVARIANT(spec_.dtype == dtype_of<T>());
    return {static_cast<const T*>(data_), static_cast<std::size_t>(spec_.shape.elements())};
  }
  template <typename T>
  std::span<T> mutable_data() {  // never on a borrowed tensor
    INK_INVARIANT(owned_ && spec_.dtype == dtype_of<T>());
    return {reinterpret_cast<T*>(owned_.get()), static_cast<std::size_t>(spec_.shape.elements())};
  }
  TensorView view() {
    INK_INVARIANT(owned_);
    return {spec_, owned_.get()};
  }
  Tensor clone() const;
  // Where the bytes are those of a mapped file: gives up their memory until they are read again.
  void release_pages() const noexcept;

 private:
  TensorSpec spec_;
  AlignedBytes owned_;
  // A mapped file is shared by every tensor in it, and by every graph that a pass makes from one.
  std::shared_ptr<const void> owner_;
  const void* data_ = nullptr;
  bool mapped_ = false;
};

template <typename T>
Tensor Tensor::from(Shape shape, std::span<const T> values) {
  Tensor tensor = zeros({dtype_of<T>(), shape});
  INK_INVARIANT(values.size() == static_cast<std::size_t>(shape.elements()));
  std::copy(values.begin(), values.end(), tensor.mutable_data<T>().begin());
  return tensor;
}

}  // namespace inkling
