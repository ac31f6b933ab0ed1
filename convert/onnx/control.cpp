// ONNX control flow. A plan has no branches: the branch that a known condition chooses is imported
// in place, loops are unrolled. A condition or trip count that depends on an input is known once
// the model is specialised to that input's value (convert/onnx/program.h); a condition that depends
// on floats chooses between the results of both branches.

#include <algorithm>

#include "convert/onnx/products.h"

namespace inkling::onnx_import {

namespace {

Result<bool> known_flag(NodeReader& n, const Imported& value) {
  if (value.tensor == kNoValue) return n.corrupt("a condition that is not a tensor");
  INK_TRY(const Tensor* tensor, n.importer().known(value.tensor));
  if (!tensor) return n.unsupported("a condition that is not known while importing");
  if (tensor->dtype() != DType::kBool || tensor->shape().elements() != 1)
    return n.corrupt("a condition ", tensor->spec());
  return tensor->data<bool>()[0];
}

// Both branches, and the condition chooses between what they give: when that depends on floats,
// which are rarely the same twice. Other inputs (a sample rate, a flag) choose a branch, and with
// it a plan. Nothing when the branches give different kinds of things.
Result<std::optional<std::vector<ValueId>>> both_branches(NodeReader& n, ValueId condition) {
  const auto* yes = n.attribute("then_branch");
  const auto* no = n.attribute("else_branch");
  if (!yes || !no) return n.corrupt("a branch is missing");
  INK_TRY(const auto a, n.importer().call(yes->g(), {}));
  INK_TRY(const auto b, n.importer().call(no->g(), {}));
  if (a.size() != b.size())
    return n.corrupt("branches of ", a.size(), " and ", b.size(), " outputs");
  Graph& g = n.graph();
  std::vector<ValueId> chosen;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].tensor == kNoValue || b[i].tensor == kNoValue ||
        g.spec(a[i].tensor) != g.spec(b[i].tensor))
      return std::nullopt;
    chosen.push_back(where(g, reshape(g, condition, Shape{}), a[i].tensor, b[i].tensor));
  }
  return chosen;
}

bool depends_on_floats(const Graph& g, const std::set<std::string>& inputs) {
  return std::any_of(inputs.begin(), inputs.end(), [&](const std::string& name) {
    return is_float(g.spec(g.find_input(name)).dtype);
  });
}

Result<void> if_op(NodeReader& n) {
  INK_TRY(const ValueId chooser, n.tensor(0));
  std::set<std::string> inputs;
  INK_TRY(const Tensor* known, n.importer().known(chooser, inputs));
  if (!known && n.shape(chooser).elements() == 1 && depends_on_floats(n.graph(), inputs)) {
    const auto results = both_branches(n, chooser);
    if (!results || !*results) n.importer().need(inputs);
    INK_CHECK_OK(results);
    if (*results) {
      for (std::size_t i = 0; i < (*results)->size(); ++i) INK_CHECK_OK(n.yield(i, (**results)[i]));
      return {};
    }
  }
  INK_TRY(const auto condition, n.integers(0));
  if (condition.size() != 1) return n.corrupt("a condition of ", condition.size(), " elements");
  const auto* branch = n.attribute(condition[0] != 0 ? "then_branch" : "else_branch");
  if (!branch) return n.corrupt("a branch is missing");
  INK_TRY(auto outputs, n.importer().call(branch->g(), {}));
  for (std::size_t i = 0; i < outputs.size(); ++i) INK_CHECK_OK(n.yield(i, std::move(outputs[i])));
  return {};
}

ValueId with_front_axis(Graph& g, ValueId x, std::size_t axis = 0) {
  std::vector<std::int64_t> dims(g.shape(x).dims().begin(), g.shape(x).dims().end());
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(std::min(axis, dims.size())), 1);
  const auto shape = Shape::from(dims);
  if (!shape) {
    g.latch(shape.error());
    return kNoValue;
  }
  return reshape(g, x, *shape);
}

// What iterations gave, one behind the other along a new axis.
Result<ValueId> collected(NodeReader& n, const std::vector<ValueId>& parts, std::size_t axis = 0) {
  if (parts.empty()) return n.unsupported("a loop that runs no iteration and collects results");
  std::vector<ValueId> rows;
  for (const ValueId part : parts) {
    if (part == kNoValue || axis > n.shape(part).rank())
      return n.unsupported("results that are not tensors");
    rows.push_back(with_front_axis(n.graph(), part, axis));
  }
  INK_CHECK_OK(n.graph().status());
  return concat(n.graph(), rows, static_cast<std::int64_t>(axis));
}

Result<void> loop(NodeReader& n) {
  std::int64_t trips = INT64_MAX;
  bool runs = true;
  if (n.has(0)) {
    INK_TRY(const auto count, n.integers(0));
    if (count.size() != 1) return n.corrupt("a trip count of ", count.size(), " elements");
    trips = count[0];
  }
  if (n.has(1)) {
    INK_TRY(const auto condition, n.integers(1));
    if (condition.size() != 1) return n.corrupt("a condition of ", condition.size(), " elements");
    runs = condition[0] != 0;
  }
  const auto* body = n.attribute("body");
  if (!body || n.input_count() < 2) return n.corrupt("no body");
  std::vector<Imported> carried;
  for (std::size_t i = 2; i < n.input_count(); ++i) {
    if (!n.has(i)) {
      carried.emplace_back();
      continue;
    }
    INK_TRY(const Imported* value, n.input(i));
    carried.push_back(*value);
  }
  const auto outputs = static_cast<std::size_t>(body->g().output_size());
  if (outputs < 1 + carried.size()) return n.corrupt("a body with ", outputs, " outputs");
  std::vector<std::vector<ValueId>> scans(outputs - 1 - carried.size());
  Graph& g = n.graph();
  for (std::int64_t i = 0; i < trips && runs; ++i) {
    std::vector<Imported> inputs;
    inputs.push_back({whole_numbers(g, Shape{}, std::vector<std::int64_t>{i}), std::nullopt});
    inputs.push_back({scalar_of(g, DType::kBool, 1.0), std::nullopt});
    inputs.insert(inputs.end(), carried.begin(), carried.end());
    INK_TRY(const auto given, n.importer().call(body->g(), std::move(inputs)));
    INK_TRY(runs, known_flag(n, given[0]));
    for (std::size_t k = 0; k < carried.size(); ++k) carried[k] = given[1 + k];
    for (std::size_t k = 0; k < scans.size(); ++k)
      scans[k].push_back(given[1 + carried.size() + k].tensor);
  }
  for (std::size_t k = 0; k < carried.size(); ++k) INK_CHECK_OK(n.yield(k, Imported(carried[k])));
  for (std::size_t k = 0; k < scans.size(); ++k) {
    if (!n.wants(carried.size() + k)) continue;
    INK_TRY(const ValueId rows, collected(n, scans[k]));
    INK_CHECK_OK(n.yield(carried.size() + k, rows));
  }
  return {};
}

// Entry i of an axis, which goes away.
ValueId entry(Graph& g, ValueId x, std::size_t axis, std::int64_t i) {
  return reshape(g, every(g, x, axis, i, 1, 1), without(g.shape(x), axis));
}

struct ScanSpec {
  const onnx::GraphProto& body;
  std::vector<std::int64_t> in_axes, in_reversed, out_axes, out_reversed;
};

// States and rows in, states and collected rows out.
Result<std::vector<ValueId>> scanned(NodeReader& n, const ScanSpec& spec,
                                     std::vector<ValueId> states,
                                     const std::vector<ValueId>& rows) {
  Graph& g = n.graph();
  const auto outputs = static_cast<std::size_t>(spec.body.output_size());
  if (rows.empty() || outputs < states.size()) return n.corrupt("nothing to scan");
  const auto at = [](const std::vector<std::int64_t>& list, std::size_t i) {
    return i < list.size() ? list[i] : 0;
  };
  std::vector<std::size_t> axes;
  std::int64_t steps = -1;
  for (std::size_t k = 0; k < rows.size(); ++k) {
    const Shape shape = n.shape(rows[k]);
    INK_TRY(axes.emplace_back(), n.axis(at(spec.in_axes, k), shape.rank()));
    if (steps >= 0 && shape[axes.back()] != steps) return n.corrupt("scans of different lengths");
    steps = shape[axes.back()];
  }
  std::vector<std::vector<ValueId>> collected_rows(outputs - states.size());
  for (std::int64_t i = 0; i < steps; ++i) {
    std::vector<Imported> inputs;
    for (const ValueId state : states) inputs.push_back({state, std::nullopt});
    for (std::size_t k = 0; k < rows.size(); ++k) {
      const std::int64_t step = at(spec.in_reversed, k) != 0 ? steps - 1 - i : i;
      inputs.push_back({entry(g, rows[k], axes[k], step), std::nullopt});
    }
    INK_CHECK_OK(g.status());
    INK_TRY(const auto given, n.importer().call(spec.body, std::move(inputs)));
    for (std::size_t k = 0; k < given.size(); ++k) {
      if (given[k].tensor == kNoValue) return n.unsupported("results that are not tensors");
      if (k < states.size()) {
        states[k] = given[k].tensor;
      } else {
        auto& list = collected_rows[k - states.size()];
        list.insert(at(spec.out_reversed, k - states.size()) != 0 ? list.begin() : list.end(),
                    given[k].tensor);
      }
    }
  }
  for (std::size_t k = 0; k < collected_rows.size(); ++k) {
    if (collected_rows[k].empty()) return n.unsupported("a scan of no steps");
    INK_TRY(const std::size_t axis,
            n.axis(at(spec.out_axes, k), n.shape(collected_rows[k][0]).rank() + 1));
    INK_TRY(states.emplace_back(), collected(n, collected_rows[k], axis));
  }
  return states;
}

Result<void> scan(NodeReader& n) {
  const auto* body = n.attribute("body");
  const std::int64_t count = n.integer_attribute("num_scan_inputs", 0);
  const std::size_t first = n.opset() < 9 ? 1 : 0;  // older: input 0 holds sequence lengths
  if (!body || count < 1 || first + static_cast<std::size_t>(count) > n.input_count())
    return n.corrupt(count, " inputs to scan");
  if (first == 1 && n.has(0)) return n.unsupported("sequence lengths");
  std::vector<ValueId> states, rows;
  const std::size_t kept = n.input_count() - static_cast<std::size_t>(count);
  for (std::size_t i = first; i < n.input_count(); ++i) {
    INK_TRY((i < kept ? states : rows).emplace_back(), n.tensor(i));
  }
  ScanSpec spec{body->g(), n.integers_attribute("scan_input_axes"),
                n.integers_attribute("scan_input_directions"),
                n.integers_attribute("scan_output_axes"),
                n.integers_attribute("scan_output_directions")};
  std::vector<ValueId> outputs;
  if (first == 0) {
    INK_TRY(outputs, scanned(n, spec, std::move(states), rows));
  } else {
    // Older: axis 0 of everything is a batch, and each of its entries is scanned by itself.
    spec.in_reversed = n.integers_attribute("directions");
    Graph& g = n.graph();
    const Shape shape = n.shape(rows[0]);
    if (shape.rank() == 0) return n.corrupt("a scan of a scalar");
    std::vector<std::vector<ValueId>> by_output;
    for (std::int64_t b = 0; b < shape[0]; ++b) {
      std::vector<ValueId> own_states, own_rows;
      for (const ValueId state : states) {
        if (n.shape(state).rank() == 0 || n.shape(state)[0] != shape[0])
          return n.corrupt("a state ", n.shape(state), " for a batch of ", shape[0]);
        own_states.push_back(entry(g, state, 0, b));
      }
      for (const ValueId row : rows) {
        if (n.shape(row).rank() == 0 || n.shape(row)[0] != shape[0])
          return n.corrupt("a scan of ", n.shape(row), " for a batch of ", shape[0]);
        own_rows.push_back(entry(g, row, 0, b));
      }
      INK_TRY(const auto own, scanned(n, spec, std::move(own_states), own_rows));
      by_output.resize(own.size());
      for (std::size_t k = 0; k < own.size(); ++k) by_output[k].push_back(own[k]);
    }
    for (const auto& parts : by_output) {
      INK_TRY(outputs.emplace_back(), collected(n, parts));
    }
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) INK_CHECK_OK(n.yield(i, outputs[i]));
  return {};
}

constexpr HandlerRow kRows[] = {{"If", if_op}, {"Loop", loop}, {"Scan", scan}};

}  // namespace

std::span<const HandlerRow> control_handlers() { return kRows; }

}  // namespace inkling::onnx_import
