#include "tools/rerank/secure_sum.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "federated/round_privacy.h"
#include "federated/seeded_rounding.h"
#include "federated/update.h"
#include "server-sim/simulation/masked_group.h"

namespace inkling::tools {

namespace {

Result<secagg::Config> config_of(const SecureSumSpec& spec, std::size_t people,
                                 std::size_t length) {
  secagg::Config config;
  config.n_max = static_cast<std::uint32_t>(std::max<std::size_t>(people, secagg::kCohortMin));
  config.n_min = config.n_max;
  config.dimension = length;
  config.scale = spec.scale;
  config.clip_l2 = spec.clip_l2;
  set_group_noise(spec.privacy, config);
  while (config.noise_sigma > secagg::kNoiseSigmaMax) {  // much noise needs no fine steps
    config.scale /= 2;
    set_group_noise(spec.privacy, config);
  }
  config.ring_bits = secagg::kRingBitsMin;  // the fewest in which the sum cannot wrap
  while (config.ring_bits < secagg::kRingBitsMax && !secagg::check_config(config))
    ++config.ring_bits;
  INK_CHECK_OK(secagg::check_config(config));
  return config;
}

secagg::RoundIdentity identity_of(std::uint64_t seed, std::uint64_t round, std::size_t group) {
  ByteWriter nonce;
  nonce.u64(seed);
  nonce.u64(round);
  nonce.u64(group);
  return {.task = {'r', 'e', 'r', 'a', 'n', 'k'},
          .attempt = {.round = round, .attempt = static_cast<std::uint32_t>(group + 1)},
          .server_nonce = secagg::hash_of({nonce.bytes()})};
}

}  // namespace

Result<std::vector<std::uint64_t>> SecureSum::upload(const secagg::Config& config,
                                                     const secagg::Hash& context,
                                                     std::size_t person, const PersonTerm& term) {
  INK_TRY(const std::vector<double> own, term(person));
  const std::vector<float> delta(own.begin(), own.end());
  const double square = std::inner_product(own.begin(), own.end(), own.begin(), 0.0);
  tally_.clipped += std::sqrt(square) > spec_.clip_l2;
  ++tally_.uploads;
  tally_.bytes_up += (config.masked_length() * config.ring_bits + 7) / 8;
  federated::SeededRounding draws(spec_.seed, tally_.rounds << 40 ^ person);
  return federated::encode_update(config, context, {.delta = delta, .metrics = {}}, draws);
}

Result<std::vector<std::uint64_t>> SecureSum::sum_group(const secagg::Config& config,
                                                        const secagg::RoundIdentity& identity,
                                                        std::span<const std::size_t> people,
                                                        const PersonTerm& term) {
  const secagg::Hash context = secagg::context_of(identity, secagg::encode_config(config));
  if (spec_.masked) {
    secagg::SystemEntropy entropy;
    return sum_masked(
        {.config = config, .identity = identity, .reporting = people.size()},
        [&](std::size_t i) { return upload(config, context, people[i], term); }, entropy);
  }
  std::vector<std::uint64_t> sum(config.input_length(), 0);
  for (const std::size_t person : people) {
    INK_TRY(const auto values, upload(config, context, person, term));
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = (sum[i] + values[i]) & config.ring_mask();
  }
  return sum;
}

Result<std::vector<double>> SecureSum::operator()(std::span<const std::size_t> people,
                                                  std::size_t length, const PersonTerm& term) {
  const bool noisy = spec_.privacy.place != NoisePlace::kNone;
  if (people.size() < secagg::kCohortMin) {
    return fail(ErrorCode::kInvalidArgument, "secure sum: ", people.size(),
                " people, expected at least ", secagg::kCohortMin);
  }
  ++tally_.rounds;
  const std::size_t groups = noisy ? 1 : std::max<std::size_t>(1, people.size() / spec_.group);
  std::vector<double> total(length, 0.0);
  for (std::size_t g = 0; g < groups; ++g) {
    const std::size_t begin = people.size() * g / groups, end = people.size() * (g + 1) / groups;
    INK_TRY(const secagg::Config config, config_of(spec_, end - begin, length));
    const secagg::RoundIdentity identity = identity_of(spec_.seed, tally_.rounds, g);
    INK_TRY(const auto sum, sum_group(config, identity, people.subspan(begin, end - begin), term));
    const secagg::Hash context = secagg::context_of(identity, secagg::encode_config(config));
    INK_TRY(const federated::MeanUpdate mean,
            federated::decode_sum(config, context, sum, static_cast<std::uint32_t>(end - begin)));
    for (std::size_t i = 0; i < length; ++i)
      total[i] += static_cast<double>(mean.delta[i]) * static_cast<double>(mean.weight_sum);
    if (const auto mechanism = federated::mechanism_of(config))
      INK_CHECK_OK(spent_.add({*mechanism, 1}));
  }
  return total;
}

Result<double> SecureSum::epsilon() const {
  if (spent_.uses().empty()) return 0.0;
  INK_TRY(const privacy::Spent spent, spent_.spent(spec_.privacy.delta));
  return spent.epsilon;
}

}  // namespace inkling::tools
