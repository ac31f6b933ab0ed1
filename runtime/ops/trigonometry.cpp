// Circular and hyperbolic functions, elementwise on floats: dx = dy times
//
//   sin    cos x            asin   1 / sqrt(1 - x^2)       sinh   cosh x
//   cos    -sin x           acos   -1 / sqrt(1 - x^2)      cosh   sinh x
//   tan    1 + y^2          atan   1 / (1 + x^2)           asinh  1 / sqrt(x^2 + 1)
//                                                          acosh  1 / sqrt(x^2 - 1)
//                                                          atanh  1 / (1 - x^2)

#include <cmath>

#include "runtime/ops/elementwise.h"

namespace inkling {

namespace {

ValueId square(Graph& g, ValueId x) { return mul(g, x, x); }
ValueId inverse(Graph& g, ValueId x) { return div(g, scalar_like(g, x, 1.0), x); }
ValueId one_minus_square(Graph& g, ValueId x) { return shift(g, neg(g, square(g, x)), 1.0); }

struct Sin {
  static auto of(auto x) { return std::sin(x); }
  static ValueId slope(Graph& g, ValueId x, ValueId) { return cos(g, x); }
};
struct Cos {
  static auto of(auto x) { return std::cos(x); }
  static ValueId slope(Graph& g, ValueId x, ValueId) { return neg(g, sin(g, x)); }
};
struct Tan {
  static auto of(auto x) { return std::tan(x); }
  static ValueId slope(Graph& g, ValueId, ValueId y) { return shift(g, square(g, y), 1.0); }
};
struct Asin {
  static auto of(auto x) { return std::asin(x); }
  static ValueId slope(Graph& g, ValueId x, ValueId) {
    return inverse(g, sqrt(g, one_minus_square(g, x)));
  }
};
struct Acos {
  static auto of(auto x) { return std::acos(x); }
  static ValueId slope(Graph& g, ValueId x, ValueId) {
    return neg(g, inverse(g, sqrt(g, one_minus_square(g, x))));
  }
};
struct Atan {
  static auto of(auto x) { return std::atan(x); }
  static ValueId slope(Graph& g, ValueId x, ValueId) {
    return inverse(g, shift(g, square(g, x), 1.0));
  }
};
struct Sinh {
  static auto of(auto x) { return std::sinh(x); }
  static ValueId slope(Graph& g, ValueId x, ValueId) { return cosh(g, x); }
};
struct Cosh {
  static auto of(auto x) { return std::cosh(x); }
  static ValueId slope(Graph& g, ValueId x, ValueId) { return sinh(g, x); }
};
struct Asinh {
  static auto of(auto x) { return std::asinh(x); }
  static ValueId slope(Graph& g, ValueId x, ValueId) {
    return inverse(g, sqrt(g, shift(g, square(g, x), 1.0)));
  }
};
struct Acosh {
  static auto of(auto x) { return std::acosh(x); }
  static ValueId slope(Graph& g, ValueId x, ValueId) {
    return inverse(g, sqrt(g, shift(g, square(g, x), -1.0)));
  }
};
struct Atanh {
  static auto of(auto x) { return std::atanh(x); }
  static ValueId slope(Graph& g, ValueId x, ValueId) { return inverse(g, one_minus_square(g, x)); }
};

template <typename F>
constexpr OpDef def(const char* name) {
  return {name, ops::infer_unary_float, ops::map_floats<F>, ops::slope_derivative<F>, true};
}

}  // namespace

constinit const OpDef sin_def = def<Sin>("sin");
constinit const OpDef cos_def = def<Cos>("cos");
constinit const OpDef tan_def = def<Tan>("tan");
constinit const OpDef asin_def = def<Asin>("asin");
constinit const OpDef acos_def = def<Acos>("acos");
constinit const OpDef atan_def = def<Atan>("atan");
constinit const OpDef sinh_def = def<Sinh>("sinh");
constinit const OpDef cosh_def = def<Cosh>("cosh");
constinit const OpDef asinh_def = def<Asinh>("asinh");
constinit const OpDef acosh_def = def<Acosh>("acosh");
constinit const OpDef atanh_def = def<Atanh>("atanh");

ValueId sin(Graph& g, ValueId x) { return g.append(OpKind::kSin, {x}); }
ValueId cos(Graph& g, ValueId x) { return g.append(OpKind::kCos, {x}); }
ValueId tan(Graph& g, ValueId x) { return g.append(OpKind::kTan, {x}); }
ValueId asin(Graph& g, ValueId x) { return g.append(OpKind::kAsin, {x}); }
ValueId acos(Graph& g, ValueId x) { return g.append(OpKind::kAcos, {x}); }
ValueId atan(Graph& g, ValueId x) { return g.append(OpKind::kAtan, {x}); }
ValueId sinh(Graph& g, ValueId x) { return g.append(OpKind::kSinh, {x}); }
ValueId cosh(Graph& g, ValueId x) { return g.append(OpKind::kCosh, {x}); }
ValueId asinh(Graph& g, ValueId x) { return g.append(OpKind::kAsinh, {x}); }
ValueId acosh(Graph& g, ValueId x) { return g.append(OpKind::kAcosh, {x}); }
ValueId atanh(Graph& g, ValueId x) { return g.append(OpKind::kAtanh, {x}); }

}  // namespace inkling
