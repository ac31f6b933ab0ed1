#include "server-sim/simulation/partition.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/base/rng.h"

namespace inkling {

namespace {

constexpr std::uint64_t kClientsMax = std::uint64_t{1} << 40;

// Every example belongs to one client: client c has order[first[c]..first[c + 1]).
class Cut final : public Partition {
 public:
  Cut(std::vector<std::uint32_t> order, std::vector<std::size_t> first)
      : order_(std::move(order)), first_(std::move(first)) {}
  std::uint64_t clients() const override { return first_.size() - 1; }
  void examples_of(std::uint64_t client, std::vector<std::uint32_t>& out) const override {
    const auto at = [&](std::uint64_t c) {
      return order_.begin() + static_cast<std::ptrdiff_t>(first_[c]);
    };
    out.assign(at(client), at(client + 1));
  }

 private:
  std::vector<std::uint32_t> order_;
  std::vector<std::size_t> first_;
};

Result<PartitionPtr> cut(std::vector<std::vector<std::uint32_t>> members) {
  std::vector<std::uint32_t> order;
  std::vector<std::size_t> first = {0};
  for (const auto& of_client : members) {
    order.insert(order.end(), of_client.begin(), of_client.end());
    first.push_back(order.size());
  }
  return std::make_unique<Cut>(std::move(order), std::move(first));
}

Result<void> check_clients(std::uint64_t clients, std::uint64_t most) {
  if (clients >= 1 && clients <= most) return {};
  return fail(ErrorCode::kInvalidArgument, "partition: ", clients, " clients, expected 1 to ",
              most);
}

Result<void> check_alpha(double alpha) {
  if (alpha > 0 && std::isfinite(alpha)) return {};
  return fail(ErrorCode::kInvalidArgument, "partition: alpha ", alpha, ", expected above 0");
}

std::vector<std::uint32_t> numbered(std::size_t count) {
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  return order;
}

// Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000; for shape < 1 by the
// boost G(a) = G(a + 1) U^(1/a), here as a logarithm, since tiny shapes underflow.
double log_gamma_draw(Rng& rng, double shape) {
  double boost = 0;
  if (shape < 1) {
    boost = std::log(1.0 - rng.uniform()) / shape;
    shape += 1;
  }
  const double d = shape - 1.0 / 3.0, c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = rng.normal(), v = std::pow(1.0 + c * x, 3);
    if (v <= 0) continue;
    const double u = 1.0 - rng.uniform();
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v) + boost;
  }
}

// A draw from the symmetric Dirichlet distribution.
std::vector<double> dirichlet(Rng& rng, std::size_t count, double alpha) {
  std::vector<double> share(count);
  for (double& s : share) s = log_gamma_draw(rng, alpha);
  const double top = *std::max_element(share.begin(), share.end());
  for (double& s : share) s = std::exp(s - top);
  const double total = std::accumulate(share.begin(), share.end(), 0.0);
  for (double& s : share) s /= total;
  return share;
}

std::vector<std::vector<std::uint32_t>> by_label(std::span<const std::uint32_t> labels) {
  std::vector<std::vector<std::uint32_t>> members;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= members.size()) members.resize(labels[i] + std::size_t{1});
    members[labels[i]].push_back(static_cast<std::uint32_t>(i));
  }
  return members;
}

// Hands `examples` out in shares to the clients, in order.
void hand_out(std::span<const std::uint32_t> examples, std::span<const double> share,
              std::vector<std::vector<std::uint32_t>>& members) {
  double sum = 0;
  std::size_t from = 0;
  for (std::size_t c = 0; c < share.size(); ++c) {
    sum += share[c];
    const bool last = c + 1 == share.size();
    const auto upto = last ? examples.size()
                           : std::min(examples.size(),
                                      static_cast<std::size_t>(
                                          std::lround(sum * static_cast<double>(examples.size()))));
    for (; from < upto; ++from) members[c].push_back(examples[from]);
  }
}

// Clients that were left with nothing take one example each from the largest.
void leave_nobody_empty(std::vector<std::vector<std::uint32_t>>& members) {
  for (auto& of_client : members) {
    if (!of_client.empty()) continue;
    const auto largest =
        std::max_element(members.begin(), members.end(),
                         [](const auto& a, const auto& b) { return a.size() < b.size(); });
    of_client.push_back(largest->back());
    largest->pop_back();
  }
}

class Sampled final : public Partition {
 public:
  Sampled(std::vector<std::vector<std::uint32_t>> members, std::uint64_t clients,
          std::size_t examples, double alpha, std::uint64_t seed)  // no label without examples
      : members_(std::move(members)),
        clients_(clients),
        examples_(examples),
        alpha_(alpha),
        seed_(seed) {
    for (const auto& of_label : members_) all_.insert(all_.end(), of_label.begin(), of_label.end());
  }
  std::uint64_t clients() const override { return clients_; }
  void examples_of(std::uint64_t client, std::vector<std::uint32_t>& out) const override {
    Rng rng(seed_, "partition/sampled", client);
    out.resize(examples_);
    if (alpha_ == 0) {
      for (std::uint32_t& example : out) example = all_[rng.below(all_.size())];
      return;
    }
    const std::vector<double> share = dirichlet(rng, members_.size(), alpha_);
    for (std::uint32_t& example : out) example = draw(rng, share);
  }

 private:
  std::uint32_t draw(Rng& rng, std::span<const double> share) const {
    double u = rng.uniform();
    std::size_t label = 0;
    while (label + 1 < share.size() && u >= share[label]) u -= share[label++];
    const auto& of_label = members_[label];
    return of_label[rng.below(of_label.size())];
  }

  std::vector<std::vector<std::uint32_t>> members_;
  std::vector<std::uint32_t> all_;
  std::uint64_t clients_;
  std::size_t examples_;
  double alpha_;
  std::uint64_t seed_;
};

}  // namespace

Result<PartitionPtr> partition_uniform(std::size_t examples, std::uint64_t clients,
                                       std::uint64_t seed) {
  INK_CHECK_OK(check_clients(clients, examples));
  std::vector<std::uint32_t> order = numbered(examples);
  Rng(seed, "partition/uniform").shuffle(order);
  std::vector<std::size_t> first;
  for (std::uint64_t c = 0; c <= clients; ++c) first.push_back(examples * c / clients);
  return std::make_unique<Cut>(std::move(order), std::move(first));
}

Result<PartitionPtr> partition_dirichlet(std::span<const std::uint32_t> labels,
                                         std::uint64_t clients, double alpha, std::uint64_t seed) {
  INK_CHECK_OK(check_clients(clients, labels.size()));
  INK_CHECK_OK(check_alpha(alpha));
  std::vector<std::vector<std::uint32_t>> members(clients);
  auto labelled = by_label(labels);
  for (std::size_t label = 0; label < labelled.size(); ++label) {
    Rng rng(seed, "partition/dirichlet", label);
    rng.shuffle(labelled[label]);
    hand_out(labelled[label], dirichlet(rng, clients, alpha), members);
  }
  leave_nobody_empty(members);
  return cut(std::move(members));
}

Result<PartitionPtr> partition_shards(std::span<const std::uint32_t> labels, std::uint64_t clients,
                                      std::size_t shards, std::uint64_t seed) {
  if (shards == 0) return fail(ErrorCode::kInvalidArgument, "partition: 0 shards a client");
  INK_CHECK_OK(check_clients(clients, labels.size() / shards));
  std::vector<std::uint32_t> sorted = numbered(labels.size());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return labels[a] < labels[b]; });
  std::vector<std::uint32_t> dealt = numbered(clients * shards);
  Rng(seed, "partition/shards").shuffle(dealt);
  std::vector<std::vector<std::uint32_t>> members(clients);
  for (std::size_t i = 0; i < dealt.size(); ++i) {
    const std::size_t begin = sorted.size() * dealt[i] / dealt.size();
    const std::size_t end = sorted.size() * (dealt[i] + std::size_t{1}) / dealt.size();
    auto& of_client = members[i / shards];
    of_client.insert(of_client.end(), sorted.begin() + static_cast<std::ptrdiff_t>(begin),
                     sorted.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return cut(std::move(members));
}

Result<PartitionPtr> partition_quantity(std::size_t examples, std::uint64_t clients, double alpha,
                                        std::uint64_t seed) {
  INK_CHECK_OK(check_clients(clients, examples));
  INK_CHECK_OK(check_alpha(alpha));
  Rng rng(seed, "partition/quantity");
  std::vector<std::uint32_t> order = numbered(examples);
  rng.shuffle(order);
  std::vector<std::vector<std::uint32_t>> members(clients);
  hand_out(order, dirichlet(rng, clients, alpha), members);
  leave_nobody_empty(members);
  return cut(std::move(members));
}

Result<PartitionPtr> partition_natural(std::span<const std::uint32_t> owner) {
  auto members = by_label(owner);
  const auto empty = std::find_if(members.begin(), members.end(),
                                  [](const auto& of_client) { return of_client.empty(); });
  if (members.empty() || empty != members.end()) {
    return fail(ErrorCode::kInvalidArgument, "partition: client ", empty - members.begin(),
                " has no example");
  }
  return cut(std::move(members));
}

Result<PartitionPtr> partition_owned(std::span<const std::uint32_t> owner, std::uint64_t clients) {
  INK_CHECK_OK(check_clients(clients, kClientsMax));
  std::vector<std::vector<std::uint32_t>> members(clients);
  for (std::size_t i = 0; i < owner.size(); ++i)
    if (owner[i] < clients) members[owner[i]].push_back(static_cast<std::uint32_t>(i));
  return cut(std::move(members));
}

Result<PartitionPtr> partition_sampled(std::span<const std::uint32_t> labels, std::uint64_t clients,
                                       std::size_t examples, double alpha, std::uint64_t seed) {
  INK_CHECK_OK(check_clients(clients, kClientsMax));
  if (examples == 0 || labels.empty())
    return fail(ErrorCode::kInvalidArgument, "partition: 0 examples a client");
  if (alpha != 0) INK_CHECK_OK(check_alpha(alpha));
  auto members = by_label(labels);
  std::erase_if(members, [](const auto& of_label) { return of_label.empty(); });
  return std::make_unique<Sampled>(std::move(members), clients, examples, alpha, seed);
}

}  // namespace inkling
