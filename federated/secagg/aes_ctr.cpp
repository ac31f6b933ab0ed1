#include "federated/secagg/aes_ctr.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace inkling::secagg {

#if defined(__x86_64__)

namespace {

#define INK_INLINE INK_TARGET inline __attribute__((always_inline))

#define INK_TARGET __attribute__((target("aes,ssse3")))
namespace aesni {
using Vector = __m128i;
constexpr std::size_t kBlocks = 1;

INK_INLINE Vector load(const std::uint8_t* at) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}
INK_INLINE void store(std::uint8_t* at, Vector v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(at), v);
}
INK_INLINE Vector broadcast(const std::uint8_t* block) { return load(block); }
INK_INLINE Vector exclusive_or(Vector a, Vector b) { return _mm_xor_si128(a, b); }
INK_INLINE Vector aes_round(Vector v, Vector key) { return _mm_aesenc_si128(v, key); }
INK_INLINE Vector aes_last_round(Vector v, Vector key) { return _mm_aesenclast_si128(v, key); }
template <typename T>
INK_INLINE Vector add(Vector a, Vector b) {
  if constexpr (sizeof(T) == 2) return _mm_add_epi16(a, b);
  if constexpr (sizeof(T) == 4) return _mm_add_epi32(a, b);
  return _mm_add_epi64(a, b);
}
template <typename T>
INK_INLINE Vector subtract(Vector a, Vector b) {
  if constexpr (sizeof(T) == 2) return _mm_sub_epi16(a, b);
  if constexpr (sizeof(T) == 4) return _mm_sub_epi32(a, b);
  return _mm_sub_epi64(a, b);
}
// A counter as two little-endian halves, the low one first.
INK_INLINE Vector counters_from(std::uint64_t high, std::uint64_t low) {
  return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
}
INK_INLINE Vector step_of(std::size_t blocks) {
  return counters_from(0, static_cast<std::uint64_t>(blocks));
}
INK_INLINE Vector big_endian(Vector v) {
  return _mm_shuffle_epi8(v, _mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f));
}
#include "federated/secagg/aes_ctr_kernel.inc"
}  // namespace aesni
#undef INK_TARGET

#define INK_TARGET __attribute__((target("avx2,aes,vaes")))
namespace vaes256 {
using Vector = __m256i;
constexpr std::size_t kBlocks = 2;

INK_INLINE Vector load(const std::uint8_t* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}
INK_INLINE void store(std::uint8_t* at, Vector v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), v);
}
INK_INLINE Vector broadcast(const std::uint8_t* block) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block)));
}
INK_INLINE Vector exclusive_or(Vector a, Vector b) { return _mm256_xor_si256(a, b); }
INK_INLINE Vector aes_round(Vector v, Vector key) { return _mm256_aesenc_epi128(v, key); }
INK_INLINE Vector aes_last_round(Vector v, Vector key) { return _mm256_aesenclast_epi128(v, key); }
template <typename T>
INK_INLINE Vector add(Vector a, Vector b) {
  if constexpr (sizeof(T) == 2) return _mm256_add_epi16(a, b);
  if constexpr (sizeof(T) == 4) return _mm256_add_epi32(a, b);
  return _mm256_add_epi64(a, b);
}
template <typename T>
INK_INLINE Vector subtract(Vector a, Vector b) {
  if constexpr (sizeof(T) == 2) return _mm256_sub_epi16(a, b);
  if constexpr (sizeof(T) == 4) return _mm256_sub_epi32(a, b);
  return _mm256_sub_epi64(a, b);
}
INK_INLINE Vector counters_from(std::uint64_t high, std::uint64_t low) {
  const auto h = static_cast<long long>(high);
  return _mm256_set_epi64x(h, static_cast<long long>(low + 1), h, static_cast<long long>(low));
}
INK_INLINE Vector step_of(std::size_t blocks) {
  const auto n = static_cast<long long>(blocks);
  return _mm256_set_epi64x(0, n, 0, n);
}
INK_INLINE Vector big_endian(Vector v) {
  return _mm256_shuffle_epi8(v, _mm256_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f,
                                                  0x0001020304050607, 0x08090a0b0c0d0e0f));
}
#include "federated/secagg/aes_ctr_kernel.inc"
}  // namespace vaes256
#undef INK_TARGET

#define INK_TARGET __attribute__((target("avx512f,avx512bw,aes,vaes")))
namespace vaes512 {
using Vector = __m512i;
constexpr std::size_t kBlocks = 4;

INK_INLINE Vector load(const std::uint8_t* at) { return _mm512_loadu_si512(at); }
INK_INLINE void store(std::uint8_t* at, Vector v) { _mm512_storeu_si512(at, v); }
INK_INLINE Vector broadcast(const std::uint8_t* block) {
  // With a mask of ones, because gcc 12 warns about the plain form's own code.
  return _mm512_maskz_broadcast_i32x4(0xffff,
                                      _mm_loadu_si128(reinterpret_cast<const __m128i*>(block)));
}
INK_INLINE Vector exclusive_or(Vector a, Vector b) { return _mm512_xor_si512(a, b); }
INK_INLINE Vector aes_round(Vector v, Vector key) { return _mm512_aesenc_epi128(v, key); }
INK_INLINE Vector aes_last_round(Vector v, Vector key) { return _mm512_aesenclast_epi128(v, key); }
template <typename T>
INK_INLINE Vector add(Vector a, Vector b) {
  if constexpr (sizeof(T) == 2) return _mm512_add_epi16(a, b);
  if constexpr (sizeof(T) == 4) return _mm512_add_epi32(a, b);
  return _mm512_add_epi64(a, b);
}
template <typename T>
INK_INLINE Vector subtract(Vector a, Vector b) {
  if constexpr (sizeof(T) == 2) return _mm512_sub_epi16(a, b);
  if constexpr (sizeof(T) == 4) return _mm512_sub_epi32(a, b);
  return _mm512_sub_epi64(a, b);
}
INK_INLINE Vector counters_from(std::uint64_t high, std::uint64_t low) {
  const auto h = static_cast<long long>(high);
  const auto l = [low](std::uint64_t i) { return static_cast<long long>(low + i); };
  return _mm512_set_epi64(h, l(3), h, l(2), h, l(1), h, l(0));
}
INK_INLINE Vector step_of(std::size_t blocks) {
  const auto n = static_cast<long long>(blocks);
  return _mm512_set_epi64(0, n, 0, n, 0, n, 0, n);
}
INK_INLINE Vector big_endian(Vector v) {
  constexpr long long kUpper = 0x0001020304050607, kLower = 0x08090a0b0c0d0e0f;
  return _mm512_shuffle_epi8(
      v, _mm512_set_epi64(kUpper, kLower, kUpper, kLower, kUpper, kLower, kUpper, kLower));
}
#include "federated/secagg/aes_ctr_kernel.inc"
}  // namespace vaes512
#undef INK_TARGET

// Key expansion (FIPS 197, 5.2) by AES-NI. `assist` holds SubWord and RotWord of the newest words.
#define INK_TARGET __attribute__((target("aes,ssse3")))

INK_INLINE __m128i next_key(__m128i key, __m128i assist) {
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  return _mm_xor_si128(key, assist);
}

template <int kRoundConstant>
INK_INLINE __m128i rotated(__m128i key) {
  return _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, kRoundConstant), 0xff);
}
INK_INLINE __m128i unrotated(__m128i key) {
  return _mm_shuffle_epi32(_mm_aeskeygenassist_si128(key, 0), 0xaa);
}

template <int... kRoundConstants>
INK_TARGET void expand_128(const std::uint8_t* key, std::uint8_t* out) {
  __m128i k = aesni::load(key);
  aesni::store(out, k);
  ((k = next_key(k, rotated<kRoundConstants>(k)), aesni::store(out += 16, k)), ...);
}

template <int... kRoundConstants>
INK_TARGET void expand_256(const std::uint8_t* key, std::uint8_t* out) {
  __m128i even = aesni::load(key), odd = aesni::load(key + 16);
  aesni::store(out, even);
  aesni::store(out + 16, odd);
  out += 32;
  ((even = next_key(even, rotated<kRoundConstants>(odd)), odd = next_key(odd, unrotated(even)),
    aesni::store(out, even), aesni::store(out + 16, odd), out += 32),
   ...);
}

// One block after the other, for what is left of a stride.
template <typename T>
INK_TARGET void accumulate_blocks(const AesCounter::Schedule& schedule, std::uint64_t high,
                                  std::uint64_t low, std::uint8_t* lanes, std::size_t blocks,
                                  Sign sign) {
  const std::uint8_t* keys = schedule.keys.data();
  for (std::size_t block = 0; block < blocks; ++block) {
    __m128i state = aesni::big_endian(aesni::counters_from(high, low + block));
    state = _mm_xor_si128(state, aesni::load(keys));
    for (unsigned round = 1; round < schedule.rounds; ++round) {
      state = _mm_aesenc_si128(state, aesni::load(keys + round * AesCounter::kBlockBytes));
    }
    state =
        _mm_aesenclast_si128(state, aesni::load(keys + schedule.rounds * AesCounter::kBlockBytes));
    std::uint8_t* at = lanes + block * AesCounter::kBlockBytes;
    const __m128i lane = aesni::load(at);
    aesni::store(at,
                 sign == Sign::kAdd ? aesni::add<T>(lane, state) : aesni::subtract<T>(lane, state));
  }
}
#undef INK_TARGET
#undef INK_INLINE

bool has_vaes() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c >> 9 & 1) != 0;
}

}  // namespace

std::vector<AesPath> aes_paths() {
  std::vector<AesPath> paths = {AesPath::kOpenSsl};
  if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("ssse3")) return paths;
  paths.push_back(AesPath::kAesNi);
  if (!has_vaes() || !__builtin_cpu_supports("avx2")) return paths;
  paths.push_back(AesPath::kVaes256);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
    paths.push_back(AesPath::kVaes512);
  }
  return paths;
}

AesCounter::AesCounter(ByteSpan key, std::span<const std::uint8_t, kBlockBytes> counter,
                       AesPath path)
    : path_(path) {
  INK_INVARIANT((key.size() == 16 || key.size() == 32) && path != AesPath::kOpenSsl);
  schedule_.rounds = key.size() == 16 ? 10 : 14;
  if (key.size() == 16) {
    expand_128<0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1b, 0x36>(key.data(),
                                                                           schedule_.keys.data());
  } else {
    expand_256<0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40>(key.data(), schedule_.keys.data());
  }
  for (std::size_t i = 0; i < 8; ++i) high_ = high_ << 8 | counter[i];
  for (std::size_t i = 8; i < 16; ++i) low_ = low_ << 8 | counter[i];
}

template <typename T>
void AesCounter::run(std::span<T> lanes, Sign sign) {
  auto* at = reinterpret_cast<std::uint8_t*>(lanes.data());
  const std::size_t tail = lanes.size_bytes() % kBlockBytes;
  std::size_t blocks = lanes.size_bytes() / kBlockBytes;
  const auto advance = [&](std::size_t done) {
    low_ += done;
    if (low_ == 0 && done > 0) ++high_;  // done never goes beyond the wrap
    at += done * kBlockBytes;
    blocks -= done;
  };
  while (blocks > 0) {
    // Up to where the low half of the counter wraps, if it does.
    const std::size_t run = low_ == 0 ? blocks : std::min<std::uint64_t>(blocks, 0 - low_);
    std::size_t done = 0;
    if (path_ == AesPath::kVaes512) {
      done = vaes512::accumulate_signed<T>(schedule_, high_, low_, at, run, sign);
    } else if (path_ == AesPath::kVaes256) {
      done = vaes256::accumulate_signed<T>(schedule_, high_, low_, at, run, sign);
    } else {
      done = aesni::accumulate_signed<T>(schedule_, high_, low_, at, run, sign);
    }
    accumulate_blocks<T>(schedule_, high_, low_ + done, at + done * kBlockBytes, run - done, sign);
    advance(run);
  }
  if (tail == 0) return;
  std::array<std::uint8_t, kBlockBytes> last{};
  std::memcpy(last.data(), at, tail);
  accumulate_blocks<T>(schedule_, high_, low_, last.data(), 1, sign);
  std::memcpy(at, last.data(), tail);
}

#else

std::vector<AesPath> aes_paths() { return {AesPath::kOpenSsl}; }

AesCounter::AesCounter(ByteSpan, std::span<const std::uint8_t, kBlockBytes>, AesPath path)
    : path_(path) {
  INK_INVARIANT(path_ != AesPath::kOpenSsl);  // there is no other
}

template <typename T>
void AesCounter::run(std::span<T>, Sign) {}

#endif

void AesCounter::accumulate(std::span<std::uint16_t> lanes, Sign sign) { run(lanes, sign); }
void AesCounter::accumulate(std::span<std::uint32_t> lanes, Sign sign) { run(lanes, sign); }
void AesCounter::accumulate(std::span<std::uint64_t> lanes, Sign sign) { run(lanes, sign); }

}  // namespace inkling::secagg
