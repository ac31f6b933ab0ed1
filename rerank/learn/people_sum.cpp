#include "rerank/learn/people_sum.h"

namespace inkling {

namespace {

// LogitSums as one vector: of the symmetric Hessian the half on and above the diagonal.
std::size_t packed_length(std::size_t width) { return 2 + width + width * (width + 1) / 2; }

std::vector<double> pack(const LogitSums& sums) {
  const std::size_t width = sums.gradient.size();
  std::vector<double> packed = {sums.slates, sums.nll};
  packed.insert(packed.end(), sums.gradient.begin(), sums.gradient.end());
  for (std::size_t i = 0; i < width; ++i)
    for (std::size_t j = i; j < width; ++j) packed.push_back(sums.hessian[i * width + j]);
  return packed;
}

LogitSums unpack(std::span<const double> packed, std::size_t width) {
  const auto gradient = packed.subspan(2, width);
  LogitSums sums{.slates = packed[0],
                 .nll = packed[1],
                 .gradient = {gradient.begin(), gradient.end()},
                 .hessian = std::vector<double>(width * width)};
  std::size_t at = 2 + width;
  for (std::size_t i = 0; i < width; ++i)
    for (std::size_t j = i; j < width; ++j)
      sums.hessian[i * width + j] = sums.hessian[j * width + i] = packed[at++];
  return sums;
}

}  // namespace

Result<std::vector<double>> sum_in_the_clear(std::span<const std::size_t> people,
                                             std::size_t length, const PersonTerm& term) {
  if (people.empty()) return fail(ErrorCode::kInvalidArgument, "sum over people: nobody");
  std::vector<double> sum(length, 0.0);
  for (const std::size_t person : people) {
    INK_TRY(const std::vector<double> own, term(person));
    if (own.size() != length) {
      return fail(ErrorCode::kInvalidArgument, "sum over people: a term of ", own.size(),
                  " numbers, expected ", length);
    }
    for (std::size_t i = 0; i < length; ++i) sum[i] += own[i];
  }
  return sum;
}

Result<ColumnMoments> sum_column_moments(std::span<const std::vector<EncodedSlate>> slates,
                                         std::span<const std::size_t> people, std::size_t width,
                                         const SumOverPeople& sum) {
  const auto term = [&](std::size_t person) -> Result<std::vector<double>> {
    std::vector<double> own(1 + 2 * width, 0.0);
    for (const EncodedSlate& slate : slates[person]) {
      own[0] += static_cast<double>(slate.alternatives);
      for (std::size_t i = 0; i < slate.features.size(); ++i) {
        const auto v = static_cast<double>(slate.features[i]);
        own[1 + i % width] += v;
        own[1 + width + i % width] += v * v;
      }
    }
    return own;
  };
  INK_TRY(const std::vector<double> total, sum(people, 1 + 2 * width, term));
  if (!(total[0] >= 1)) return fail(ErrorCode::kInvalidArgument, "column moments: no rows");
  ColumnMoments moments;
  for (std::size_t c = 0; c < width; ++c) {
    const double mean = total[1 + c] / total[0];
    moments.mean.push_back(mean);
    moments.variance.push_back(total[1 + width + c] / total[0] - mean * mean);
  }
  return moments;
}

Result<ConditionalLogitFit> fit_summed_logit(std::span<const std::vector<EncodedSlate>> slates,
                                             std::span<const std::size_t> people, std::size_t width,
                                             const ConditionalLogitOptions& options,
                                             const SumOverPeople& sum) {
  const auto source = [&](std::span<const double> weights) -> Result<LogitSums> {
    const auto term = [&](std::size_t person) -> Result<std::vector<double>> {
      INK_TRY(const LogitSums own, logit_sums(slates[person], weights));
      return pack(own);
    };
    INK_TRY(const std::vector<double> total, sum(people, packed_length(width), term));
    return unpack(total, width);
  };
  return fit_conditional_logit(source, width, options);
}

}  // namespace inkling
