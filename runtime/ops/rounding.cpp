// Piecewise linear functions of one tensor:
//
//   abs    |x|, any numbers                              dx = dy sign(x)
//   sign   -1, 0 or 1, any numbers                       nothing: the slope is zero
//   floor, ceil, round (to the nearest, ties to even)    nothing

#include <cmath>

#include "runtime/ops/elementwise.h"

namespace inkling {

namespace {

struct Abs {
  template <typename T>
  static T of(T x) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::abs(x);
    } else {
      return x < T{0} ? ops::negated(x) : x;
    }
  }
  static ValueId slope(Graph& g, ValueId x, ValueId) { return sign(g, x); }
};
struct Sign {
  template <typename T>
  static T of(T x) {
    return static_cast<T>((x > T{0}) - (x < T{0}));
  }
};
struct Floor {
  static auto of(auto x) { return std::floor(x); }
};
struct Ceil {
  static auto of(auto x) { return std::ceil(x); }
};
struct Round {
  static auto of(auto x) { return std::nearbyint(x); }
};

void no_slope(Adjoint&) {}

}  // namespace

constinit const OpDef abs_def{"abs", ops::infer_unary_number, ops::map_numbers<Abs>,
                              ops::slope_derivative<Abs>, true};
constinit const OpDef sign_def{"sign", ops::infer_unary_number, ops::map_numbers<Sign>, no_slope,
                               true};
constinit const OpDef floor_def{"floor", ops::infer_unary_float, ops::map_floats<Floor>, no_slope,
                                true};
constinit const OpDef ceil_def{"ceil", ops::infer_unary_float, ops::map_floats<Ceil>, no_slope,
                               true};
constinit const OpDef round_def{"round", ops::infer_unary_float, ops::map_floats<Round>, no_slope,
                                true};

ValueId abs(Graph& g, ValueId x) { return g.append(OpKind::kAbs, {x}); }
ValueId sign(Graph& g, ValueId x) { return g.append(OpKind::kSign, {x}); }
ValueId floor(Graph& g, ValueId x) { return g.append(OpKind::kFloor, {x}); }
ValueId ceil(Graph& g, ValueId x) { return g.append(OpKind::kCeil, {x}); }
ValueId round(Graph& g, ValueId x) { return g.append(OpKind::kRound, {x}); }

}  // namespace inkling
