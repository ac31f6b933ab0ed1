// Run under valgrind: no branch and no address depends on a secret in Shamir's field, in splitting
// and rebuilding a secret, or in comparing. Secrets are marked as undefined memory, so memcheck
// reports every conditional jump and every index that they reach (Langley's ctgrind).
//
// Whether shares are well-formed is a verdict that everybody may know; the functions that give it
// are not run here.

#include <valgrind/memcheck.h>

#include <cstdio>

#include "federated/secagg/shamir.h"
#include "tests/federated/test_entropy.h"

namespace inkling::secagg {
namespace {

void poison(const void* memory, std::size_t size) { VALGRIND_MAKE_MEM_UNDEFINED(memory, size); }
void publish(const void* memory, std::size_t size) { VALGRIND_MAKE_MEM_DEFINED(memory, size); }

bool field_and_compare() {
  std::uint64_t a = 0x123456789abcdef, b = kFieldPrime - 5;
  poison(&a, sizeof a);
  poison(&b, sizeof b);
  std::uint64_t mixed = field_mul(field_add(a, b), field_sub(a, b));
  mixed = field_mul(mixed, field_inverse(mixed));
  publish(&mixed, sizeof mixed);
  std::array<std::uint8_t, 32> x{}, y{};
  x[7] = 1;
  poison(x.data(), x.size());
  const bool same = equal_in_constant_time(x, y);
  bool verdict = same;
  publish(&verdict, sizeof verdict);
  return mixed == 1 && !verdict;
}

bool split_and_rebuild() {
  constexpr std::uint32_t kHolders = 7, kThreshold = 4;
  TestEntropy entropy(1);
  Secret<32> secret;
  if (!entropy.fill(secret.writable())) return false;
  poison(secret.reveal().data(), 32);
  const auto shares = split_secret(secret, kHolders, kThreshold, entropy);
  if (!shares) return false;
  std::vector<std::span<const std::uint8_t, kShareBytes>> values;
  for (std::uint32_t i = 0; i < kThreshold; ++i) values.emplace_back((*shares)[i].reveal());
  const std::vector<std::uint32_t> xs = {1, 2, 3, 4};
  const auto weights = lagrange_weights(xs);
  const Secret<kShareBytes> limbs = interpolate(*weights, values);
  publish(limbs.reveal().data(), kShareBytes);
  const auto rebuilt = join_limbs(limbs);
  publish(secret.reveal().data(), 32);
  return rebuilt && rebuilt->equals(secret);
}

// The tool itself: a branch on a poisoned byte must be reported.
int leak() {
  volatile std::uint8_t secret = 3;
  poison(const_cast<const std::uint8_t*>(&secret), 1);
  return secret == 3 ? std::puts("leak") : 0;
}

}  // namespace
}  // namespace inkling::secagg

int main(int argc, char** argv) {
  using namespace inkling::secagg;
  if (argc > 1 && argv[1][0] == 'l') return leak() < 0 ? 1 : 0;
  return field_and_compare() && split_and_rebuild() ? 0 : 1;
}
