#include <vector>

#include "runtime/backends/cpu/cpu.h"

namespace inkling {

std::span<const Kernel> cpu_kernels() {
  static const std::vector<Kernel> kTable = [] {
    std::vector<Kernel> rows;
    for (const auto& family :
         {cpu::coalesce_kernels(), cpu::convolution_kernels(),
          cpu::depthwise_weight_gradient_kernels(), cpu::depthwise_kernels(),
          cpu::elementwise_kernels(), cpu::expanded_depthwise_kernels(), cpu::matmul_kernels(),
          cpu::movement_kernels(), cpu::optimizer_step_kernels(), cpu::planar_convolution_kernels(),
          cpu::pooling_kernels(), cpu::recurrent_kernels(), cpu::reduction_kernels(),
          cpu::softmax_kernels(), cpu::transpose_kernels(), cpu::winograd_kernels()}) {
      rows.insert(rows.end(), family.begin(), family.end());
    }
    return rows;
  }();
  return kTable;
}

}  // namespace inkling
