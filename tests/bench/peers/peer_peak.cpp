// The most that one core does: fused multiply-adds of the widest vectors on registers alone,
// THREADS threads at a time. Speaks the workers' protocol: a run is kRounds * kFlops floating-point
// operations on each thread. FOLDER is not looked at beyond the protocol.

#include <immintrin.h>

#include <thread>

#include "tests/bench/peers/worker.h"

namespace inkling::peers {
namespace {

constexpr int kChains = 12;  // hides the latency of four cycles on two ports
constexpr int kRounds = 400'000;

__attribute__((target("avx512f"))) float multiply_512() {
  __m512 sum[kChains];
  for (int i = 0; i < kChains; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
  for (int r = 0; r < kRounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sum[i] = _mm512_fmadd_ps(sum[i], a, b);
  }
  float total = 0;
  for (int i = 0; i < kChains; ++i) total += _mm512_cvtss_f32(sum[i]);
  return total;
}

__attribute__((target("avx2,fma"))) float multiply_256() {
  __m256 sum[kChains];
  for (int i = 0; i < kChains; ++i) sum[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
  for (int r = 0; r < 2 * kRounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sum[i] = _mm256_fmadd_ps(sum[i], a, b);
  }
  float total = 0;
  for (int i = 0; i < kChains; ++i) total += _mm256_cvtss_f32(sum[i]);
  return total;
}

class PeakPeer : public Peer {
 public:
  explicit PeakPeer(unsigned threads) : results_(threads) {}
  void run() override {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < results_.size(); ++i)
      others.emplace_back([this, i] { results_[i] = once(); });
    results_[0] = once();
  }
  std::vector<float> output() override { return results_; }

 private:
  static float once() {
    return __builtin_cpu_supports("avx512f") ? multiply_512() : multiply_256();
  }
  std::vector<float> results_;
};

}  // namespace

std::unique_ptr<Peer> open_peer(const PeerSpec& spec, const Example&) {
  return std::make_unique<PeakPeer>(spec.threads);
}

}  // namespace inkling::peers
