// ONNX matrix products.

#include <algorithm>

#include "convert/onnx/importer.h"
#include "convert/onnx/products.h"

namespace inkling::onnx_import {

Result<ValueId> matrix_product(NodeReader& n, ValueId a, ValueId b) {
  Graph& g = n.graph();
  const bool row = n.shape(a).rank() == 1, column = n.shape(b).rank() == 1;
  if (row) a = reshape(g, a, {1, n.shape(a)[0]});
  if (column) b = reshape(g, b, {n.shape(b)[0], 1});
  const Shape left = n.shape(a), right = n.shape(b);
  if (left.rank() < 2 || right.rank() < 2)
    return n.corrupt(left, " times ", right, ": expected vectors or matrices");
  ValueId y;
  if (right.rank() == 2 && left.elements() > 0) {
    const std::int64_t rows = left.elements() / left.back();
    y = reshape(g, matmul(g, reshape(g, a, {rows, left.back()}), b),
                left.with(left.rank() - 1, right[1]));
  } else {
    const std::size_t rank = std::max(left.rank(), right.rank());
    std::vector<std::int64_t> a_dims(rank, 1), b_dims(rank, 1);
    std::copy(left.dims().begin(), left.dims().end(),
              a_dims.end() - static_cast<std::ptrdiff_t>(left.rank()));
    std::copy(right.dims().begin(), right.dims().end(),
              b_dims.end() - static_cast<std::ptrdiff_t>(right.rank()));
    INK_TRY(const Shape a_shape, shape_from(a_dims));
    INK_TRY(const Shape b_shape, shape_from(b_dims));
    a = reshape(g, a, a_shape);
    b = reshape(g, b, b_shape);
    for (std::size_t i = 0; i + 2 < rank; ++i) {
      if (a_dims[i] != b_dims[i] && a_dims[i] != 1 && b_dims[i] != 1)
        return n.corrupt(left, " times ", right, ": leading sizes differ");
      a_dims[i] = b_dims[i] = a_dims[i] == 1 ? b_dims[i] : a_dims[i];
    }
    INK_TRY(const Shape a_full, shape_from(a_dims));
    INK_TRY(const Shape b_full, shape_from(b_dims));
    a = broadcast_to(g, a, a_full);
    y = matmul(g, a, broadcast_to(g, b, b_full));
  }
  if (!g.status()) return y;
  if (row) y = reshape(g, y, without(n.shape(y), n.shape(y).rank() - 2));
  if (column) y = reshape(g, y, without(n.shape(y), n.shape(y).rank() - 1));
  return y;
}

namespace {

Result<void> mat_mul(NodeReader& n) {
  INK_TRY(const ValueId a, n.number(0));
  INK_TRY(const ValueId b, n.number(1));
  INK_TRY(const ValueId y, matrix_product(n, a, b));
  return n.yield(y);
}

// alpha op(A) op(B) + beta C
Result<void> gemm(NodeReader& n) {
  INK_TRY(const ValueId a, n.number(0));
  INK_TRY(const ValueId b, n.number(1));
  Graph& g = n.graph();
  const double alpha = n.real_attribute("alpha", 1.0), beta = n.real_attribute("beta", 1.0);
  if (!is_float(n.dtype(a)) && (alpha != 1.0 || beta != 1.0))
    return n.unsupported("factors on integers");
  ValueId y = matmul(g, a, b, n.flag("transA"), n.flag("transB"));
  if (alpha != 1.0) y = scale(g, y, alpha);
  if (n.has(2) && beta != 0.0) {
    INK_TRY(const ValueId c, n.number(2));
    y = add(g, y, beta == 1.0 ? c : scale(g, c, beta));
  }
  return n.yield(y);
}

// An operand of an Einsum: a tensor whose axes have labels.
struct Labelled {
  ValueId tensor;
  std::string labels;

  bool has(char label) const { return labels.find(label) != std::string::npos; }
};

// Axes that stand for "..." get labels of their own, counted from the last.
constexpr char kEllipsisFirst = '0';

Result<std::string> expand_term(NodeReader& n, std::string_view term, std::size_t ellipsis_axes) {
  std::string labels;
  for (std::size_t i = 0; i < term.size(); ++i) {
    if (term[i] == ' ') continue;
    if (term.substr(i, 3) == "...") {
      for (std::size_t k = ellipsis_axes; k-- > 0;)
        labels += static_cast<char>(kEllipsisFirst + static_cast<char>(k));
      i += 2;
    } else if ((term[i] >= 'a' && term[i] <= 'z') || (term[i] >= 'A' && term[i] <= 'Z')) {
      labels += term[i];
    } else {
      return n.corrupt("'", term[i], "' in the equation");
    }
  }
  return labels;
}

// Keeps one of two axes with the same label: the diagonal.
Labelled take_diagonals(Graph& g, Labelled x) {
  for (std::size_t i = 0; i < x.labels.size() && g.status(); ++i) {
    const std::size_t j = x.labels.find(x.labels[i], i + 1);
    if (j == std::string::npos) continue;
    const std::size_t rank = x.labels.size();
    std::vector<std::int64_t> order;
    std::string labels;
    for (std::size_t k = 0; k < rank; ++k) {
      if (k == i || k == j) continue;
      order.push_back(static_cast<std::int64_t>(k));
      labels += x.labels[k];
    }
    order.push_back(static_cast<std::int64_t>(i));
    order.push_back(static_cast<std::int64_t>(j));
    labels += x.labels[i];
    const Shape shape = g.shape(x.tensor);
    const std::int64_t size = shape[i];
    if (size != shape[j]) {
      g.latch({ErrorCode::kInvalidArgument, concat("a diagonal of ", shape)});
      return x;
    }
    const ValueId last = transpose(g, x.tensor, order);
    std::vector<std::int64_t> places;
    for (std::int64_t k = 0; k < size; ++k) places.push_back(k * (size + 1));
    const Shape turned = g.shape(last);
    const Shape flat = without(turned, rank - 1).with(rank - 2, size * size);
    x = {gather(g, reshape(g, last, flat), whole_numbers(g, places),
                static_cast<std::int64_t>(rank) - 2),
         labels};
    i = static_cast<std::size_t>(-1);
  }
  return x;
}

Labelled sum_out(Graph& g, const Labelled& x, const std::string& keep) {
  Shape kept = g.shape(x.tensor);
  std::vector<std::int64_t> dims;
  std::string labels;
  for (std::size_t i = 0; i < x.labels.size(); ++i) {
    if (keep.find(x.labels[i]) == std::string::npos) {
      kept = kept.with(i, 1);
    } else {
      dims.push_back(kept[i]);
      labels += x.labels[i];
    }
  }
  return {reshape(g, sum_to(g, x.tensor, kept), shape_or_latch(g, dims)), labels};
}

Labelled in_order(Graph& g, const Labelled& x, const std::string& labels) {
  std::vector<std::int64_t> order;
  for (const char label : labels) order.push_back(static_cast<std::int64_t>(x.labels.find(label)));
  return {transpose(g, x.tensor, order), labels};
}

// One matrix product that sums the labels that nobody keeps.
Labelled contract(Graph& g, Labelled a, Labelled b, const std::string& keep) {
  a = sum_out(g, a, keep + b.labels);
  b = sum_out(g, b, keep + a.labels);
  std::string batch, left, right, summed;
  for (const char label : a.labels) {
    const bool kept = keep.find(label) != std::string::npos;
    (!b.has(label) ? left : kept ? batch : summed) += label;
  }
  for (const char label : b.labels) {
    if (!a.has(label)) right += label;
  }
  a = in_order(g, a, batch + left + summed);
  b = in_order(g, b, batch + summed + right);
  if (!g.status()) return a;
  const Shape a_shape = g.shape(a.tensor), b_shape = g.shape(b.tensor);
  std::int64_t rows = 1, inner = 1, columns = 1, batches = 1;
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < a.labels.size(); ++i) {
    const bool kept = i < batch.size() + left.size();
    (i < batch.size() ? batches : kept ? rows : inner) *= a_shape[i];
    if (kept) dims.push_back(a_shape[i]);
  }
  for (std::size_t i = batch.size() + summed.size(); i < b.labels.size(); ++i) {
    columns *= b_shape[i];
    dims.push_back(b_shape[i]);
  }
  const ValueId left_matrix = reshape(g, a.tensor, {batches, rows, inner});
  const ValueId y = matmul(g, left_matrix, reshape(g, b.tensor, {batches, inner, columns}));
  return {reshape(g, y, shape_or_latch(g, dims)), batch + left + right};
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

Result<void> einsum(NodeReader& n) {
  const std::string equation = n.text_attribute("equation", "");
  const std::size_t arrow = equation.find("->");
  const auto terms = split(equation.substr(0, arrow), ',');
  if (terms.size() != n.input_count())
    return n.corrupt(terms.size(), " terms for ", n.input_count(), " operands");
  Graph& g = n.graph();
  std::vector<Labelled> operands;
  std::map<char, std::int64_t> sizes;
  std::size_t ellipsis = 0;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    INK_TRY(const ValueId x, n.floats(i));
    INK_TRY(const std::string plain, expand_term(n, terms[i], 0));
    const Shape shape = n.shape(x);
    if (plain.size() > shape.rank()) return n.corrupt("term ", terms[i], " of ", shape);
    INK_TRY(const std::string labels, expand_term(n, terms[i], shape.rank() - plain.size()));
    if (labels.size() != shape.rank()) return n.corrupt("term ", terms[i], " of ", shape);
    ellipsis = std::max(ellipsis, shape.rank() - plain.size());
    for (std::size_t k = 0; k < labels.size(); ++k) {
      const auto [known, fresh] = sizes.emplace(labels[k], shape[k]);
      if (!fresh && known->second != shape[k])
        return n.unsupported("sizes ", known->second, " and ", shape[k], " of one label");
    }
    operands.push_back(take_diagonals(g, {x, labels}));
  }
  std::string result;
  if (arrow != std::string::npos) {
    INK_TRY(result, expand_term(n, std::string_view(equation).substr(arrow + 2), ellipsis));
  } else {
    // Without an arrow: the labels that occur once, in alphabetical order, behind the ellipsis.
    std::map<char, int> uses;
    for (const std::string& term : terms) {
      for (const char c : term) uses[c] += c != ' ' && c != '.';
    }
    INK_TRY(result, expand_term(n, "...", ellipsis));
    for (const auto& [label, count] : uses) {
      if (count == 1) result += label;
    }
  }
  for (const char label : result) {
    if (!sizes.count(label)) return n.corrupt("label '", label, "' has no operand");
    if (std::count(result.begin(), result.end(), label) > 1)
      return n.corrupt("label '", label, "' twice in the result");
  }
  Labelled y = operands[0];
  for (std::size_t i = 1; i < operands.size(); ++i) {
    std::string keep = result;
    for (std::size_t k = i + 1; k < operands.size(); ++k) keep += operands[k].labels;
    y = contract(g, y, operands[i], keep);
  }
  return n.yield(in_order(g, sum_out(g, y, result), result).tensor);
}

constexpr HandlerRow kRows[] = {
    {"Einsum", einsum},
    {"Gemm", gemm},
    {"MatMul", mat_mul},
};

}  // namespace

std::span<const HandlerRow> linear_handlers() { return kRows; }

}  // namespace inkling::onnx_import
