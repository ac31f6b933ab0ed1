#pragma once
// The kernel families of the CPU backend: each file gives its rows, kernels.cpp joins them into the
// table. Kernels work on f32; the planner falls back to the reference for everything else.

#include <algorithm>
#include <cstdint>
#include <span>

#include "runtime/kernel.h"
#include "runtime/ops/linear.h"

namespace inkling::cpu {

std::span<const Kernel> coalesce_kernels();
std::span<const Kernel> convolution_kernels();
std::span<const Kernel> depthwise_weight_gradient_kernels();
std::span<const Kernel> depthwise_kernels();
std::span<const Kernel> elementwise_kernels();
std::span<const Kernel> expanded_depthwise_kernels();
std::span<const Kernel> matmul_kernels();
std::span<const Kernel> movement_kernels();
std::span<const Kernel> optimizer_step_kernels();
std::span<const Kernel> planar_convolution_kernels();
std::span<const Kernel> pooling_kernels();
std::span<const Kernel> recurrent_kernels();
std::span<const Kernel> reduction_kernels();
std::span<const Kernel> softmax_kernels();
std::span<const Kernel> transpose_kernels();
std::span<const Kernel> winograd_kernels();

inline bool all_f32(const NodeSpec& node) {
  return std::all_of(node.in.begin(), node.in.end(),
                     [](const TensorSpec& s) { return s.dtype == DType::kF32; });
}

// Rough throughput of one core, to rank rows: 50 GFLOP/s in GEMM, 5 G simple operations a second
// elsewhere.
inline double gemm_seconds(double multiply_adds) { return multiply_adds * 2 / 50e9; }
inline double simple_seconds(double operations) { return operations / 5e9; }

// How many items a chunk of a parallel loop should have so that it takes about 10 us, at
// `operations` an item.
inline std::size_t grain_for(double operations) {
  return static_cast<std::size_t>(std::max(1.0, 5e4 / std::max(operations, 1.0)));
}

inline std::size_t aligned_floats(std::int64_t floats) {
  return (static_cast<std::size_t>(floats) + 15) / 16 * 16;
}

// The sums of parts, each `stride` floats behind the one before it, added up in order.
struct PartSums {
  const float* first;
  std::int64_t parts;
  std::size_t stride;
};
inline void add_up(const PartSums& sums, std::int64_t floats, float* to) {
  std::copy_n(sums.first, floats, to);
  for (std::int64_t part = 1; part < sums.parts; ++part) {
    const float* sum = sums.first + static_cast<std::size_t>(part) * sums.stride;
    for (std::int64_t i = 0; i < floats; ++i) to[i] += sum[i];
  }
}

}  // namespace inkling::cpu
