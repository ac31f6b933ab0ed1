// C[..., i, j] = sum_k op(A)[..., i, k] op(B)[..., k, j]  (+ bias[j], + an addend of the shape
// of C, then clamped, when fused)
//
// op transposes the last two axes where the attribute says so. With dC = G:
//   d op(A) = G op(B)^T, stored as A is:   A plain:       G op(B)^T       A transposed:  op(B) G^T
//   d op(B) = op(A)^T G, stored as B is:   B plain:       op(A)^T G       B transposed:  G^T op(A)
// Transposing op(X) flips the flag, so every case is one matmul. Bias, addend and bounds are put in
// by the fusion pass when a plan is made, after differentiation; a fused node has no derivative.

#include "runtime/ops/linear.h"

namespace inkling {

namespace {

ops::Specs infer(std::span<const TensorSpec> in, const Attrs& attrs) {
  INK_CHECK_OK(ops::expect_linear(in, 2, 4, attrs));
  const Shape& a = in[0].shape;
  const Shape& b = in[1].shape;
  if (a.rank() < 2 || a.rank() != b.rank())
    return ops::refuse(a, " times ", b, ": expected equal ranks of at least 2");
  const std::size_t rank = a.rank();
  for (std::size_t i = 0; i + 2 < rank; ++i) {
    if (a[i] != b[i]) return ops::refuse(a, " times ", b, ": leading sizes differ");
  }
  const bool ta = attrs.integer(Attr::kTransposeA) != 0;
  const bool tb = attrs.integer(Attr::kTransposeB) != 0;
  if (a[ta ? rank - 2 : rank - 1] != b[tb ? rank - 1 : rank - 2]) {
    return ops::refuse(a, ta ? "^T" : "", " times ", b, tb ? "^T" : "", ": inner sizes differ");
  }
  const std::int64_t n = b[tb ? rank - 2 : rank - 1];
  INK_CHECK_OK(ops::expect_bias(in, n));
  Shape shape = a.with(rank - 2, a[ta ? rank - 1 : rank - 2]).with(rank - 1, n);
  INK_TRY(shape, Shape::from(shape.dims()));
  INK_CHECK_OK(ops::expect_addend(in, shape));
  return std::vector<TensorSpec>{{in[0].dtype, shape}};
}

void reference(const KernelArgs& args) {
  const ops::MatmulSize size = ops::matmul_size(args.in[0].shape(), args.in[1].shape(), args.attrs);
  ops::on_linear(args.in[0].spec.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto epilogue = ops::Epilogue<T>::of(args);
    const std::int64_t a_row = size.transpose_a ? 1 : size.k,
                       a_column = size.transpose_a ? size.m : 1;
    const std::int64_t b_row = size.transpose_b ? 1 : size.n,
                       b_column = size.transpose_b ? size.k : 1;
    for (std::int64_t batch = 0; batch < size.batch; ++batch) {
      const T* a = args.in[0].as<T>() + batch * size.m * size.k;
      const T* b = args.in[1].as<T>() + batch * size.k * size.n;
      T* c = args.out[0].as<T>() + batch * size.m * size.n;
      for (std::int64_t i = 0; i < size.m; ++i) {
        for (std::int64_t j = 0; j < size.n; ++j) {
          T total = 0;
          for (std::int64_t k = 0; k < size.k; ++k)
            total =
                ops::multiply_add(a[i * a_row + k * a_column], b[k * b_row + j * b_column], total);
          c[i * size.n + j] = epilogue.apply(total, (batch * size.m + i) * size.n + j, size.n);
        }
      }
    }
  });
}

void derivative(Adjoint& adjoint) {
  Graph& g = adjoint.graph;
  if (adjoint.input_count() > 2 || adjoint.attrs().has(Attr::kMin)) {
    g.latch({ErrorCode::kUnsupported, "matmul: differentiate before fusing"});
    return;
  }
  const bool ta = adjoint.attrs().integer(Attr::kTransposeA) != 0;
  const bool tb = adjoint.attrs().integer(Attr::kTransposeB) != 0;
  const ValueId a = adjoint.input(0), b = adjoint.input(1), dc = adjoint.cotangent();
  if (adjoint.wanted(0))
    adjoint.set(0, ta ? matmul(g, b, dc, tb, true) : matmul(g, dc, b, false, !tb));
  if (adjoint.wanted(1))
    adjoint.set(1, tb ? matmul(g, dc, a, true, ta) : matmul(g, a, dc, !ta, false));
}

}  // namespace

constinit const OpDef matmul_def{"matmul", infer, reference, derivative};

ValueId matmul(Graph& g, ValueId a, ValueId b, bool transpose_a, bool transpose_b) {
  return g.append(OpKind::kMatmul, {a, b},
                  {{Attr::kTransposeA, std::int64_t{transpose_a}},
                   {Attr::kTransposeB, std::int64_t{transpose_b}}});
}

}  // namespace inkling
