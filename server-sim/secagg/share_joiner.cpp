#include "server-sim/secagg/share_joiner.h"

#include <algorithm>

#include "runtime/base/rng.h"

namespace inkling::secagg {

namespace {

// The subset to try in the given attempt: first every run of neighbouring shares, which finds a
// single liar among t + 1 at once, then random ones.
std::vector<GivenShare> choose(std::span<const GivenShare> shares, std::size_t count,
                               std::size_t attempt, Rng& rng) {
  std::vector<GivenShare> out(shares.begin(), shares.end());
  if (attempt < out.size()) {
    std::rotate(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(attempt), out.end());
  } else {
    rng.shuffle(out);
  }
  out.resize(count);
  return out;
}

}  // namespace

Result<Secret<kShareBytes>> ShareJoiner::value_at(std::span<const GivenShare> shares,
                                                  std::uint32_t x) {
  std::vector<std::uint32_t> xs;
  std::vector<std::span<const std::uint8_t, kShareBytes>> values;
  for (const GivenShare& given : shares) {
    xs.push_back(given.x);
    values.emplace_back(given.share);
  }
  if (x != 0) {
    INK_TRY(const auto weights, lagrange_weights(xs, x));
    return interpolate(weights, values);
  }
  auto found = weights_.find(xs);
  if (found == weights_.end()) {
    INK_TRY(auto weights, lagrange_weights(xs));
    found = weights_.emplace(std::move(xs), std::move(weights)).first;
  }
  return interpolate(found->second, values);
}

Result<std::vector<std::uint32_t>> ShareJoiner::off_polynomial(std::span<const GivenShare> good,
                                                               std::span<const GivenShare> all) {
  std::vector<std::uint32_t> liars;
  for (const GivenShare& given : all) {
    const bool used =
        std::any_of(good.begin(), good.end(), [&](const GivenShare& g) { return g.x == given.x; });
    if (used) continue;
    INK_TRY(const auto expected, value_at(good, given.x));
    if (!equal_in_constant_time(expected.reveal(), given.share)) liars.push_back(given.holder);
  }
  return liars;
}

Result<JoinedSecret> ShareJoiner::join(std::span<const GivenShare> shares, std::uint32_t threshold,
                                       const Check& check) {
  if (shares.size() < threshold) {
    return fail(ErrorCode::kProtocol, "join: ", shares.size(), " shares, expected at least ",
                threshold);
  }
  Rng rng(0, "share-subsets");
  const int tries = shares.size() == threshold ? 1 : kSubsetTriesMax;
  for (int attempt = 0; attempt < tries; ++attempt) {
    const auto subset = choose(shares, threshold, static_cast<std::size_t>(attempt), rng);
    INK_TRY(const Secret<kShareBytes> value, value_at(subset, 0));
    Result<Secret<32>> secret = join_limbs(value);
    if (!secret || !check(*secret)) continue;
    JoinedSecret joined{.secret = *std::move(secret), .liars = {}};
    if (attempt > 0) {
      INK_TRY(joined.liars, off_polynomial(subset, shares));
    }
    return joined;
  }
  return fail(ErrorCode::kVerification, "join: no ", threshold, " of ", shares.size(),
              " shares give the secret that was committed to");
}

}  // namespace inkling::secagg
