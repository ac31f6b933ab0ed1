#include "tools/datasets/factorize.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <cmath>
#include <unordered_map>

#include "runtime/base/rng.h"

namespace inkling {

namespace {

struct Entry {
  std::size_t other;  // the item of a user's entry, the user of an item's
  double rest;        // the rating without means
};
using Entries = std::vector<std::vector<Entry>>;

struct Normal {
  Eigen::MatrixXd a;
  Eigen::VectorXd b;
};

Normal normal_equations(std::span<const Entry> entries, const Eigen::MatrixXd& factors,
                        double ridge) {
  Normal n{ridge * Eigen::MatrixXd::Identity(factors.rows(), factors.rows()),
           Eigen::VectorXd::Zero(factors.rows())};
  for (const Entry& e : entries) {
    const auto f = factors.col(static_cast<Eigen::Index>(e.other));
    n.a += f * f.transpose();
    n.b += e.rest * f;
  }
  return n;
}

void solve_side(const Entries& entries, const Eigen::MatrixXd& other, double ridge,
                Eigen::MatrixXd& side) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Normal n = normal_equations(entries[i], other, ridge);
    side.col(static_cast<Eigen::Index>(i)) = n.a.llt().solve(n.b);
  }
}

}  // namespace

struct Factorization::State {
  FactorizeOptions options;
  double global_mean = 0;
  std::vector<double> sum, count;  // of ratings, by item
  Entries by_item;
  std::vector<std::unordered_map<std::size_t, double>> rated;  // by user: item -> rating
  Eigen::MatrixXd users;                                       // [dimensions, users]
};

Factorization::Factorization(std::unique_ptr<State> state) : state_(std::move(state)) {}
Factorization::~Factorization() = default;
Factorization::Factorization(Factorization&&) noexcept = default;
Factorization& Factorization::operator=(Factorization&&) noexcept = default;

Result<Factorization> Factorization::create(std::span<const Rating> ratings, std::size_t users,
                                            std::size_t items, const FactorizeOptions& options) {
  auto s = std::make_unique<State>();
  s->options = options;
  s->sum.assign(items, 0.0);
  s->count.assign(items, 0.0);
  s->by_item.resize(items);
  s->rated.resize(users);
  if (ratings.empty()) return fail(ErrorCode::kInvalidArgument, "factorize: no rating");
  for (const Rating& r : ratings) {
    if (r.user >= users || r.item >= items || !std::isfinite(r.value)) {
      return fail(ErrorCode::kInvalidArgument, "factorize: user ", r.user, " rates item ", r.item,
                  " ", r.value, ", expected users below ", users, " and items below ", items);
    }
    s->sum[r.item] += r.value;
    s->count[r.item] += 1;
    s->rated[r.user][r.item] = r.value;
    s->global_mean += r.value / static_cast<double>(ratings.size());
  }
  const double pull = options.mean_ridge;
  std::vector<double> user_rest(users, 0.0);
  const auto above_item = [&](const Rating& r) {
    return r.value - (s->sum[r.item] + pull * s->global_mean) / (s->count[r.item] + pull);
  };
  for (const Rating& r : ratings) user_rest[r.user] += above_item(r);
  Entries by_user(users);
  for (const Rating& r : ratings) {
    const auto own = static_cast<double>(s->rated[r.user].size());
    const double rest = above_item(r) - user_rest[r.user] / (own + pull);
    by_user[r.user].push_back({r.item, rest});
    s->by_item[r.item].push_back({r.user, rest});
  }
  const auto d = static_cast<Eigen::Index>(options.dimensions);
  s->users = Eigen::MatrixXd::Zero(d, static_cast<Eigen::Index>(users));
  Eigen::MatrixXd item_factors(d, static_cast<Eigen::Index>(items));
  Rng rng(options.seed, "factorize");
  for (double& v : item_factors.reshaped()) v = 0.1 * rng.normal();
  for (int round = 0; round < options.rounds; ++round) {
    solve_side(by_user, item_factors, options.ridge, s->users);
    solve_side(s->by_item, s->users, options.ridge, item_factors);
  }
  return Factorization(std::move(s));
}

ItemView Factorization::view(std::size_t user, std::size_t item) const {
  const State& s = *state_;
  const auto own = s.rated[user].find(item);
  const bool rated = own != s.rated[user].end();
  const double pull = s.options.mean_ridge;
  ItemView view{.count = s.count[item] - (rated ? 1 : 0)};
  view.mean =
      (s.sum[item] - (rated ? own->second : 0) + pull * s.global_mean) / (view.count + pull);
  std::vector<Entry> others;
  for (const Entry& e : s.by_item[item])
    if (e.other != user) others.push_back(e);
  const Normal n = normal_equations(others, s.users, s.options.ridge);
  const Eigen::VectorXd embedding = n.a.llt().solve(n.b);
  view.embedding.assign(embedding.data(), embedding.data() + embedding.size());
  return view;
}

}  // namespace inkling
