#pragma once
// A server's side of a recommender, made from its training ratings alone: how good an item is for
// everyone (a mean pulled to the global one) and an embedding of it, by alternating least squares
// (Hu, Koren and Volinsky, ICDM 2008, with explicit ratings).
//
// What a person's own training rating did to an item is taken out again before that person is shown
// the item (leave-one-out, exact for the item's own normal equations), because a live server could
// not have known it either.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runtime/base/result.h"

namespace inkling {

struct Rating {
  std::size_t user, item;  // from 0
  double value;
};

struct FactorizeOptions {
  std::size_t dimensions = 8;
  double ridge = 5;
  double mean_ridge = 5;  // ratings at the global mean that every item starts with
  int rounds = 12;
  std::uint64_t seed = 1;
};

struct ItemView {
  double mean = 0;   // the pulled mean
  double count = 0;  // ratings behind it
  std::vector<double> embedding{};
};

class Factorization {
 public:
  // kInvalidArgument: no rating, a number out of range or not finite.
  static Result<Factorization> create(std::span<const Rating> ratings, std::size_t users,
                                      std::size_t items, const FactorizeOptions& options);
  ~Factorization();
  Factorization(Factorization&&) noexcept;
  Factorization& operator=(Factorization&&) noexcept;

  // The item without what this user said about it.
  ItemView view(std::size_t user, std::size_t item) const;

 private:
  struct State;
  explicit Factorization(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace inkling
