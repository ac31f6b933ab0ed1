// ONNX recurrent layers, unrolled: one matrix product projects the inputs of all steps, then each
// step is a product with the state and a few elementwise ops; a GRU that is the vocabulary's
// becomes one node instead. Names as in the ONNX definition: X[t, b, i], W[d, gates h, i], R[d,
// gates h, h], B[d, 2 gates h].

#include <algorithm>
#include <functional>
#include <set>

#include "convert/onnx/importer.h"

namespace inkling::onnx_import {

namespace {

using Function = ValueId (*)(Graph&, ValueId);

Result<Function> activation(NodeReader& n, const std::string& name) {
  if (name == "Sigmoid") return Function{sigmoid};
  if (name == "Tanh") return Function{tanh};
  if (name == "Relu") return Function{relu};
  return n.unsupported("activation ", name);
}

struct State {
  ValueId h, c = kNoValue;
};

// One direction of a layer.
struct Direction {
  ValueId projected;             // [t, b, gates h]: X W^T plus the biases that do not wait for h
  ValueId recurrent;             // R, [gates h, h]
  ValueId late_bias = kNoValue;  // [h]: what GRU adds inside the reset gate
  ValueId peepholes = kNoValue;  // [3 h]
  std::vector<Function> functions;
};

struct Layer {
  std::size_t gates;
  std::vector<const char*> functions;  // the defaults of one direction
  // One step: the projected input x[b, gates h], and the state before it.
  std::function<State(Graph&, const Direction&, ValueId x, State, std::int64_t hidden)> step;
  bool has_cell = false;
  bool late_bias = false;  // the last gate's recurrent bias is added apart
};

// Columns of gate i.
ValueId gate(Graph& g, ValueId x, std::int64_t i, std::int64_t hidden) {
  const Shape s = g.shape(x);
  return slice(g, x, {0, i * hidden}, {s[0], hidden});
}

ValueId rows_of(Graph& g, ValueId r, std::int64_t from, std::int64_t to, std::int64_t hidden) {
  return slice(g, r, {from * hidden, 0}, {(to - from) * hidden, hidden});
}

// Entry d of the first axis, which goes away.
ValueId entry(Graph& g, ValueId x, std::int64_t d) {
  const Shape s = g.shape(x);
  if (s.rank() == 0) return x;
  std::vector<std::int64_t> starts(s.rank(), 0), sizes(s.dims().begin(), s.dims().end());
  starts[0] = d;
  sizes[0] = 1;
  return reshape(g, slice(g, x, std::move(starts), std::move(sizes)), without(s, 0));
}

ValueId stacked(Graph& g, std::vector<ValueId> parts) {
  for (ValueId& part : parts) {
    const Shape s = g.shape(part);
    std::vector<std::int64_t> dims{1};
    dims.insert(dims.end(), s.dims().begin(), s.dims().end());
    part = reshape(g, part, shape_or_latch(g, dims));
  }
  return g.status() ? concat(g, parts, 0) : kNoValue;
}

// All of its numbers are known to be zero.
Result<bool> is_zero(NodeReader& n, ValueId id) {
  std::set<std::string> depends_on;
  INK_TRY(const Tensor* value, n.importer().known(id, depends_on));
  if (!value || value->dtype() != DType::kF32) return false;
  const auto numbers = value->data<float>();
  return std::all_of(numbers.begin(), numbers.end(), [](float v) { return v == 0; });
}

// The vocabulary's gru: one sequence, forwards, the usual gates, the reset gate behind the product
// and nothing added in between.
Result<bool> is_gru(NodeReader& n, const Layer& layer, const Direction& d, std::int64_t batch) {
  if (!layer.late_bias || batch != 1 || n.has(4) || d.functions[0] != Function{sigmoid} ||
      d.functions[1] != Function{tanh})
    return false;
  return d.late_bias == kNoValue ? Result<bool>(true) : is_zero(n, d.late_bias);
}

Result<void> unroll(NodeReader& n, const Layer& layer) {
  INK_TRY(ValueId x, n.floats(0));
  INK_TRY(const ValueId w, n.floats(1));
  INK_TRY(const ValueId r, n.floats(2));
  Graph& g = n.graph();
  const bool batch_first = n.flag("layout");
  if (n.shape(x).rank() != 3) return n.corrupt("an input ", n.shape(x));
  if (batch_first) x = swap_axes(g, x, 0, 1);
  const Shape in = n.shape(x), weights = n.shape(w), own = n.shape(r);
  const auto gates = static_cast<std::int64_t>(layer.gates);
  const std::string direction = n.text_attribute("direction", "forward");
  const std::int64_t directions = direction == "bidirectional" ? 2 : 1;
  const std::int64_t time = in[0], batch = in[1];
  if (own.rank() != 3 || weights.rank() != 3) return n.corrupt("weights ", weights, " and ", own);
  const std::int64_t hidden = own[2];
  if (weights != Shape{directions, gates * hidden, in[2]} ||
      own != Shape{directions, gates * hidden, hidden})
    return n.corrupt("weights ", weights, " and ", own, " for ", directions, " directions of ", in);
  if (n.attribute("clip")) return n.unsupported("clipped gates");
  auto names = n.texts_attribute("activations");
  if (n.attribute("activation_alpha") || n.attribute("activation_beta"))
    return n.unsupported("activations with parameters");
  while (names.size() < layer.functions.size() * static_cast<std::size_t>(directions))
    names.push_back(layer.functions[names.size() % layer.functions.size()]);
  ValueId lengths = kNoValue;
  if (n.has(4)) {
    INK_TRY(lengths, n.tensor(4));
    if (n.shape(lengths) != Shape{batch}) return n.corrupt("lengths ", n.shape(lengths));
    lengths = reshape(g, cast(g, lengths, DType::kI64), {batch, 1});
  }
  const Shape state_shape{directions, batch, hidden};
  const auto initial = [&](std::size_t i) -> Result<ValueId> {
    if (!n.has(i)) return broadcast_to(g, scalar_like(g, x, 0.0), state_shape);
    INK_TRY(ValueId given, n.floats(i));
    if (batch_first && n.shape(given).rank() == 3) given = swap_axes(g, given, 0, 1);
    if (n.shape(given) != state_shape)
      return n.corrupt("an initial state ", n.shape(given), ", expected ", state_shape);
    return given;
  };
  INK_TRY(const ValueId first_h, initial(5));
  ValueId first_c = kNoValue;
  if (layer.has_cell) {
    INK_TRY(first_c, initial(6));
  }

  std::vector<ValueId> all, last_h, last_c;
  for (std::int64_t d = 0; d < directions; ++d) {
    Direction one;
    one.recurrent = entry(g, r, d);
    for (std::size_t i = 0; i < layer.functions.size(); ++i) {
      INK_TRY(one.functions.emplace_back(),
              activation(n, names[static_cast<std::size_t>(d) * layer.functions.size() + i]));
    }
    ValueId projected =
        matmul(g, reshape(g, x, {time * batch, in[2]}), entry(g, w, d), false, true);
    if (n.has(3)) {
      INK_TRY(const ValueId biases, n.floats(3));
      if (n.shape(biases) != Shape{directions, 2 * gates * hidden})
        return n.corrupt("biases ", n.shape(biases));
      const ValueId both = entry(g, biases, d);
      ValueId recurrent_bias = slice(g, both, {gates * hidden}, {gates * hidden});
      if (layer.late_bias) {
        one.late_bias = slice(g, recurrent_bias, {(gates - 1) * hidden}, {hidden});
        recurrent_bias =
            pad(g, slice(g, recurrent_bias, {0}, {(gates - 1) * hidden}), {0}, {hidden});
      }
      projected = add(g, projected, add(g, slice(g, both, {0}, {gates * hidden}), recurrent_bias));
    }
    one.projected = reshape(g, projected, {time, batch, gates * hidden});
    if (layer.has_cell && n.has(7)) {
      INK_TRY(const ValueId peepholes, n.floats(7));
      if (n.shape(peepholes) != Shape{directions, 3 * hidden})
        return n.corrupt("peepholes ", n.shape(peepholes));
      one.peepholes = entry(g, peepholes, d);
    }
    State state{entry(g, first_h, d), layer.has_cell ? entry(g, first_c, d) : kNoValue};
    std::vector<ValueId> steps(static_cast<std::size_t>(time), kNoValue);
    const bool backwards = direction == "reverse" || d == 1;
    INK_TRY(const bool one_node, is_gru(n, layer, one, batch));
    if (one_node && !backwards && time > 0) {
      const ValueId states = inkling::gru(g, reshape(g, one.projected, {time, gates * hidden}),
                                          swap_axes(g, one.recurrent, 0, 1), state.h);
      all.push_back(reshape(g, states, {time, 1, hidden}));
      last_h.push_back(slice(g, states, {time - 1, 0}, {1, hidden}));
      continue;
    }
    for (std::int64_t i = 0; i < time && g.status(); ++i) {
      const std::int64_t t = backwards ? time - 1 - i : i;
      const State next = layer.step(g, one, entry(g, one.projected, t), state, hidden);
      ValueId y = next.h;
      if (lengths == kNoValue) {
        state = next;
      } else {
        // A sequence that has ended (or, backwards, not begun) keeps its state and gives zeros.
        const ValueId now = whole_numbers(g, Shape{}, std::vector<std::int64_t>{t});
        const ValueId runs = less(g, now, lengths);
        y = where(g, runs, next.h, scalar_like(g, x, 0.0));
        state.h = where(g, runs, next.h, state.h);
        if (layer.has_cell) state.c = where(g, runs, next.c, state.c);
      }
      steps[static_cast<std::size_t>(t)] = y;
    }
    INK_CHECK_OK(g.status());
    if (steps.empty()) return n.unsupported("a sequence of no steps");
    all.push_back(stacked(g, std::move(steps)));  // [t, b, h]
    last_h.push_back(state.h);
    if (layer.has_cell) last_c.push_back(state.c);
  }
  // [d, t, b, h] to [t, d, b, h], or [b, t, d, h]
  const ValueId y = stacked(g, std::move(all));
  INK_CHECK_OK(
      n.yield(0, batch_first ? transpose(g, y, {2, 1, 0, 3}) : transpose(g, y, {1, 0, 2, 3})));
  const auto last = [&](std::vector<ValueId> parts) {
    const ValueId state = stacked(g, std::move(parts));
    return batch_first ? swap_axes(g, state, 0, 1) : state;
  };
  INK_CHECK_OK(n.yield(1, last(std::move(last_h))));
  return layer.has_cell ? n.yield(2, last(std::move(last_c))) : Result<void>{};
}

ValueId with_state(Graph& g, ValueId x, ValueId h, ValueId r) {
  return add(g, x, matmul(g, h, r, false, true));
}

// h' = f(x + h R^T)
State rnn_step(Graph& g, const Direction& d, ValueId x, State s, std::int64_t) {
  return {d.functions[0](g, with_state(g, x, s.h, d.recurrent))};
}

// Gates z, r, h: h' = (1 - z) g(x_h + (r h) R_h^T) + z h
State gru_step(Graph& g, const Direction& d, ValueId x, State s, std::int64_t hidden) {
  const Shape shape = g.shape(x);
  const ValueId both = with_state(g, slice(g, x, {0, 0}, {shape[0], 2 * hidden}), s.h,
                                  rows_of(g, d.recurrent, 0, 2, hidden));
  const ValueId z = d.functions[0](g, gate(g, both, 0, hidden));
  const ValueId reset = d.functions[0](g, gate(g, both, 1, hidden));
  const ValueId own = with_state(g, gate(g, x, 2, hidden), mul(g, reset, s.h),
                                 rows_of(g, d.recurrent, 2, 3, hidden));
  const ValueId h = d.functions[1](g, own);
  return {add(g, h, mul(g, z, sub(g, s.h, h)))};
}

// The same with r (h R_h^T + b): the reset gate comes after the product.
State gru_late_step(Graph& g, const Direction& d, ValueId x, State s, std::int64_t hidden) {
  const Shape shape = g.shape(x);
  const ValueId product = matmul(g, s.h, d.recurrent, false, true);
  const ValueId both = add(g, slice(g, x, {0, 0}, {shape[0], 2 * hidden}),
                           slice(g, product, {0, 0}, {shape[0], 2 * hidden}));
  const ValueId z = d.functions[0](g, gate(g, both, 0, hidden));
  const ValueId reset = d.functions[0](g, gate(g, both, 1, hidden));
  ValueId late = gate(g, product, 2, hidden);
  if (d.late_bias != kNoValue) late = add(g, late, d.late_bias);
  const ValueId h = d.functions[1](g, add(g, gate(g, x, 2, hidden), mul(g, reset, late)));
  return {add(g, h, mul(g, z, sub(g, s.h, h)))};
}

// Gates i, o, f, c: c' = f c + i g(..), h' = o h(c'); peepholes see the cell.
State lstm_step(Graph& g, const Direction& d, ValueId x, State s, std::int64_t hidden) {
  const ValueId gates = with_state(g, x, s.h, d.recurrent);
  const auto seen = [&](std::int64_t i, std::int64_t peephole, ValueId cell) {
    const ValueId value = gate(g, gates, i, hidden);
    if (d.peepholes == kNoValue) return value;
    return add(g, value, mul(g, slice(g, d.peepholes, {peephole * hidden}, {hidden}), cell));
  };
  const ValueId in = d.functions[0](g, seen(0, 0, s.c));
  const ValueId forget = d.functions[0](g, seen(2, 2, s.c));
  const ValueId c =
      add(g, mul(g, forget, s.c), mul(g, in, d.functions[1](g, gate(g, gates, 3, hidden))));
  const ValueId out = d.functions[0](g, seen(1, 1, c));
  return {mul(g, out, d.functions[2](g, c)), c};
}

Result<void> rnn(NodeReader& n) { return unroll(n, {1, {"Tanh"}, rnn_step}); }

Result<void> gru(NodeReader& n) {
  const bool late = n.flag("linear_before_reset");
  return unroll(n, {3, {"Sigmoid", "Tanh"}, late ? gru_late_step : gru_step, false, late});
}

Result<void> lstm(NodeReader& n) {
  if (n.flag("input_forget")) return n.unsupported("coupled input and forget gates");
  return unroll(n, {4, {"Sigmoid", "Tanh", "Tanh"}, lstm_step, true});
}

constexpr HandlerRow kRows[] = {{"GRU", gru}, {"LSTM", lstm}, {"RNN", rnn}};

}  // namespace

std::span<const HandlerRow> recurrent_handlers() { return kRows; }

}  // namespace inkling::onnx_import
