#pragma once
// What the runtime tests share: random tensors, and one run of a graph.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/session.h"

namespace inkling::test {

inline Tensor random_tensor(const TensorSpec& spec, Rng& rng, double low = -1.0,
                            double high = 1.0) {
  Tensor tensor = Tensor::zeros(spec);
  if (spec.dtype == DType::kF64) {
    for (double& v : tensor.mutable_data<double>()) v = low + (high - low) * rng.uniform();
  } else {
    for (float& v : tensor.mutable_data<float>())
      v = static_cast<float>(low + (high - low) * rng.uniform());
  }
  return tensor;
}

// Runs the graph on inputs drawn from `seed` and returns each output's numbers.
inline std::vector<std::vector<float>> run(const Graph& graph, const PlanOptions& options,
                                           std::uint64_t seed,
                                           std::vector<std::string>* kernels = nullptr) {
  auto session = Session::create(graph, options);
  EXPECT_TRUE(session) << session.error().message;
  if (!session) return {};
  Rng rng(seed, "inputs");
  for (const ValueId id : graph.inputs()) {
    const Tensor values = random_tensor(graph.spec(id), rng);
    auto span = session->input(graph.value(id).name)->span<float>();
    std::copy(values.data<float>().begin(), values.data<float>().end(), span.begin());
  }
  session->run();
  std::vector<std::vector<float>> results;
  for (const NamedValue& output : graph.outputs()) {
    const auto span = session->output(output.name)->span<float>();
    results.emplace_back(span.begin(), span.end());
  }
  if (kernels) {
    for (const auto& step : session->steps()) kernels->push_back(step.kernel);
  }
  return results;
}

// Largest |a - b| over all outputs, as a share of the largest |b| (or of one).
inline double difference(const std::vector<std::vector<float>>& a,
                         const std::vector<std::vector<float>>& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    EXPECT_EQ(a[i].size(), b[i].size());
    double scale = 1.0;
    for (const float v : b[i]) scale = std::max(scale, std::abs(static_cast<double>(v)));
    for (std::size_t j = 0; j < a[i].size(); ++j) {
      const double d =
          std::abs(static_cast<double>(a[i][j]) - static_cast<double>(b[i][j])) / scale;
      worst = std::max(worst, d == d ? d : 1e30);
    }
  }
  return worst;
}

}  // namespace inkling::test
