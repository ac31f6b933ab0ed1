#include "runtime/tensor.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "runtime/base/pages.h"

namespace inkling {

namespace {

struct DTypeRow {
  std::string_view name;
  std::size_t bytes;
  enum { kComputed, kWhole, kOther } kind;
};

constexpr std::array<DTypeRow, kDTypeCount> kDTypes = {{{"f32", 4, DTypeRow::kComputed},
                                                        {"f64", 8, DTypeRow::kComputed},
                                                        {"i32", 4, DTypeRow::kWhole},
                                                        {"i64", 8, DTypeRow::kWhole},
                                                        {"u8", 1, DTypeRow::kWhole},
                                                        {"bool", 1, DTypeRow::kOther},
                                                        {"i8", 1, DTypeRow::kWhole},
                                                        {"f16", 2, DTypeRow::kOther},
                                                        {"i16", 2, DTypeRow::kWhole},
                                                        {"u16", 2, DTypeRow::kWhole},
                                                        {"u32", 4, DTypeRow::kWhole},
                                                        {"u64", 8, DTypeRow::kWhole},
                                                        {"bf16", 2, DTypeRow::kOther}}};

const DTypeRow& row_of(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::size_t dtype_bytes(DType dtype) { return row_of(dtype).bytes; }
std::string_view dtype_name(DType dtype) { return row_of(dtype).name; }
bool is_float(DType dtype) { return row_of(dtype).kind == DTypeRow::kComputed; }
bool is_integer(DType dtype) { return row_of(dtype).kind == DTypeRow::kWhole; }
bool is_number(DType dtype) { return row_of(dtype).kind != DTypeRow::kOther; }

Shape::Shape(std::initializer_list<std::int64_t> dims) : rank_(dims.size()) {
  INK_INVARIANT(dims.size() <= kRankMax);
  std::copy(dims.begin(), dims.end(), dims_.begin());
}

Result<Shape> Shape::from(std::span<const std::int64_t> dims) {
  if (dims.size() > kRankMax) {
    return fail(ErrorCode::kResourceLimit, "shape: rank ", dims.size(), ", limit ", kRankMax);
  }
  Shape shape;
  std::int64_t elements = 1;
  for (const std::int64_t size : dims) {
    if (size < 0) return fail(ErrorCode::kInvalidArgument, "shape: size ", size, ", expected >= 0");
    if (__builtin_mul_overflow(elements, std::max<std::int64_t>(size, 1), &elements) ||
        elements > kElementsMax) {
      return fail(ErrorCode::kResourceLimit, "shape: more than ", kElementsMax, " elements");
    }
    shape.dims_[shape.rank_++] = size;
  }
  return shape;
}

std::int64_t Shape::elements() const {
  std::int64_t n = 1;
  for (const std::int64_t size : dims()) n *= size;
  return n;
}

Shape Shape::with(std::size_t axis, std::int64_t size) const {
  Shape shape = *this;
  shape.dims_[axis] = size;
  return shape;
}

bool Shape::operator==(const Shape& other) const {
  return std::equal(dims().begin(), dims().end(), other.dims().begin(), other.dims().end());
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '[';
  for (std::size_t i = 0; i < shape.rank(); ++i) out << (i ? ", " : "") << shape[i];
  return out << ']';
}

std::array<std::int64_t, kRankMax> strides_of(const Shape& shape) {
  std::array<std::int64_t, kRankMax> strides{};
  std::int64_t stride = 1;
  for (std::size_t i = shape.rank(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

std::ostream& operator<<(std::ostream& out, const TensorSpec& spec) {
  return out << dtype_name(spec.dtype) << spec.shape;
}

namespace {

// Process-wide state, against the rule: a tensor frees itself, so it cannot ask an owner how.
constinit BlockAllocator app_allocator{};
constinit std::atomic<std::size_t> live_blocks{0};

// Large blocks, as arenas and packed weights are, in huge pages.
void* system_block(std::size_t bytes) {
  const bool large = bytes >= 2 * kHugePageBytes;
  void* block = nullptr;
  if (::posix_memalign(&block, large ? kHugePageBytes : kTensorAlignment, bytes) != 0)
    return nullptr;
  if (large) prefer_huge_pages({static_cast<std::byte*>(block), bytes});
  return block;
}

void* new_block(std::size_t bytes) {
  void* block = app_allocator.allocate == nullptr
                    ? system_block(bytes)
                    : app_allocator.allocate(app_allocator.context, bytes, kTensorAlignment);
  if (block != nullptr) return block;
#if defined(__cpp_exceptions)
  throw std::bad_alloc();
#else
  broken_invariant(__FILE__, __LINE__, "there is memory for a tensor");
#endif
}

}  // namespace

Result<void> set_block_allocator(const BlockAllocator& allocator) {
  if ((allocator.allocate == nullptr) != (allocator.release == nullptr))
    return fail(ErrorCode::kInvalidArgument, "allocator: one of its functions is null");
  if (const std::size_t live = live_blocks.load(); live > 0)
    return fail(ErrorCode::kFailedPrecondition, "allocator: ", live, " tensors are alive");
  app_allocator = allocator;
  return {};
}

void AlignedDelete::operator()(std::byte* p) const {
  live_blocks.fetch_sub(1);
  if (app_allocator.release != nullptr) {
    app_allocator.release(app_allocator.context, p);
  } else {
    std::free(p);
  }
}

AlignedBytes allocate_aligned(std::size_t bytes) {
  // Rounded up, so that a kernel may read a whole vector at the end of any tensor.
  const std::size_t rounded = aligned_bytes(std::max<std::size_t>(bytes, 1));
  auto* p = static_cast<std::byte*>(new_block(rounded));
  live_blocks.fetch_add(1);
  std::memset(p, 0, rounded);
  return AlignedBytes(p);
}

Tensor Tensor::zeros(TensorSpec spec) {
  Tensor tensor;
  tensor.spec_ = spec;
  tensor.owned_ = allocate_aligned(spec.bytes());
  tensor.data_ = tensor.owned_.get();
  return tensor;
}

Tensor Tensor::borrow(TensorSpec spec, const void* data, std::shared_ptr<const void> owner,
                      bool mapped) {
  Tensor tensor;
  tensor.spec_ = spec;
  tensor.owner_ = std::move(owner);
  tensor.data_ = data;
  tensor.mapped_ = mapped;
  return tensor;
}

void Tensor::release_pages() const noexcept {
  if (mapped_) inkling::release_pages({static_cast<const std::uint8_t*>(data_), spec_.bytes()});
}

Tensor Tensor::clone() const {
  Tensor copy = zeros(spec_);
  if (spec_.bytes() > 0) std::memcpy(copy.owned_.get(), data_, spec_.bytes());
  return copy;
}

}  // namespace inkling
