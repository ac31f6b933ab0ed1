// ONNX sequences and optionals: lists of values that exist only while importing.

#include <algorithm>

#include "convert/onnx/products.h"

namespace inkling::onnx_import {

namespace {

Result<std::vector<Imported>> list(NodeReader& n, std::size_t i) {
  INK_TRY(const Imported* value, n.input(i));
  if (!value->items) return n.corrupt("input ", i, " is not a sequence");
  return *value->items;
}

// A place in a list of `size` places, from input i; `fallback` without one.
Result<std::ptrdiff_t> place(NodeReader& n, std::size_t i, std::size_t size,
                             std::int64_t fallback) {
  std::int64_t at = fallback;
  if (n.has(i)) {
    INK_TRY(const auto given, n.integers(i));
    if (given.size() != 1) return n.corrupt("a position of ", given.size(), " elements");
    at = given[0] < 0 ? given[0] + fallback : given[0];
  }
  if (at < 0 || at >= static_cast<std::int64_t>(size))
    return n.corrupt("position ", at, " of ", size);
  return static_cast<std::ptrdiff_t>(at);
}

Result<void> sequence_construct(NodeReader& n) {
  std::vector<Imported> items;
  for (std::size_t i = 0; i < n.input_count(); ++i) {
    INK_TRY(const ValueId tensor, n.tensor(i));
    items.push_back({tensor, std::nullopt});
  }
  return n.yield_list(std::move(items));
}

Result<void> sequence_empty(NodeReader& n) { return n.yield_list({}); }

Result<void> sequence_insert(NodeReader& n) {
  INK_TRY(auto items, list(n, 0));
  INK_TRY(const ValueId tensor, n.tensor(1));
  INK_TRY(const std::ptrdiff_t at,
          place(n, 2, items.size() + 1, static_cast<std::int64_t>(items.size())));
  items.insert(items.begin() + at, Imported{tensor, std::nullopt});
  return n.yield_list(std::move(items));
}

Result<void> sequence_erase(NodeReader& n) {
  INK_TRY(auto items, list(n, 0));
  const auto size = static_cast<std::int64_t>(items.size());
  INK_TRY(const std::ptrdiff_t at, place(n, 1, items.size(), n.has(1) ? size : size - 1));
  items.erase(items.begin() + at);
  return n.yield_list(std::move(items));
}

Result<void> sequence_at(NodeReader& n) {
  INK_TRY(auto items, list(n, 0));
  INK_TRY(const std::ptrdiff_t at,
          place(n, 1, items.size(), static_cast<std::int64_t>(items.size())));
  return n.yield(0, std::move(items[static_cast<std::size_t>(at)]));
}

Result<void> sequence_length(NodeReader& n) {
  INK_TRY(const auto items, list(n, 0));
  const std::vector<std::int64_t> count{static_cast<std::int64_t>(items.size())};
  return n.yield(whole_numbers(n.graph(), Shape{}, count));
}

Result<void> split_to_sequence(NodeReader& n) {
  INK_TRY(const ValueId x, n.tensor(0));
  const Shape shape = n.shape(x);
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", 0), shape.rank()));
  std::vector<std::int64_t> sizes;
  bool drops = false;
  if (n.has(1)) {
    INK_TRY(sizes, n.integers(1));
    INK_TRY(const ValueId given, n.tensor(1));
    if (n.shape(given).rank() == 0) {
      const std::int64_t each = sizes[0];
      if (each < 1) return n.corrupt("parts of ", each);
      sizes.clear();
      for (std::int64_t at = 0; at < shape[axis]; at += each)
        sizes.push_back(std::min(each, shape[axis] - at));
    }
  } else {
    sizes.assign(static_cast<std::size_t>(shape[axis]), 1);
    drops = !n.flag("keepdims", true);
  }
  std::vector<Imported> items;
  std::int64_t start = 0;
  Graph& g = n.graph();
  for (const std::int64_t size : sizes) {
    if (size < 0 || size > shape[axis] - start)
      return n.corrupt("a part of ", size, " reaches outside ", shape);
    ValueId part = every(g, x, axis, start, 1, size);
    if (drops) part = reshape(g, part, without(shape, axis));
    items.push_back({part, std::nullopt});
    start += size;
  }
  return n.yield_list(std::move(items));
}

Result<void> concat_from_sequence(NodeReader& n) {
  INK_TRY(const auto items, list(n, 0));
  if (items.empty()) return n.unsupported("an empty sequence");
  Graph& g = n.graph();
  const bool new_axis = n.flag("new_axis");
  const std::size_t rank = n.shape(items[0].tensor).rank() + (new_axis ? 1 : 0);
  INK_TRY(const std::size_t axis, n.axis(n.integer_attribute("axis", 0), rank));
  std::vector<ValueId> parts;
  for (const Imported& item : items) {
    if (item.tensor == kNoValue) return n.corrupt("a sequence of other than tensors");
    std::vector<std::int64_t> dims(n.shape(item.tensor).dims().begin(),
                                   n.shape(item.tensor).dims().end());
    if (new_axis) {
      if (axis > dims.size()) return n.corrupt("tensors of different ranks");
      dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), 1);
    }
    INK_TRY(const Shape shape, shape_from(dims));
    parts.push_back(reshape(g, item.tensor, shape));
  }
  return n.yield(concat(g, parts, static_cast<std::int64_t>(axis)));
}

// The body on each element of the first sequence, with that of every other one; tensors go to all.
Result<void> sequence_map(NodeReader& n) {
  INK_TRY(const auto first, list(n, 0));
  const auto* body = n.attribute("body");
  if (!body) return n.corrupt("no body");
  std::vector<std::vector<Imported>> results(n.output_count());
  for (std::size_t i = 0; i < first.size(); ++i) {
    std::vector<Imported> inputs{first[i]};
    for (std::size_t k = 1; k < n.input_count(); ++k) {
      INK_TRY(const Imported* other, n.input(k));
      if (other->items && i >= other->items->size())
        return n.corrupt("sequences of different lengths");
      inputs.push_back(other->items ? (*other->items)[i] : *other);
    }
    INK_TRY(auto outputs, n.importer().call(body->g(), std::move(inputs)));
    if (outputs.size() != results.size())
      return n.corrupt("a body of ", outputs.size(), " outputs");
    for (std::size_t k = 0; k < results.size(); ++k) results[k].push_back(std::move(outputs[k]));
  }
  for (std::size_t k = 0; k < results.size(); ++k)
    INK_CHECK_OK(n.yield(k, Imported{kNoValue, std::move(results[k])}));
  return {};
}

Result<void> optional(NodeReader& n) {
  if (!n.has(0)) return n.yield(0, Imported{});
  INK_TRY(const Imported* value, n.input(0));
  return n.yield(0, Imported(*value));
}

Result<void> optional_get_element(NodeReader& n) {
  INK_TRY(const Imported* value, n.input(0));
  if (value->absent()) return n.corrupt("the optional is empty");
  return n.yield(0, Imported(*value));
}

Result<void> optional_has_element(NodeReader& n) {
  bool there = false;
  if (n.has(0)) {
    INK_TRY(const Imported* value, n.input(0));
    there = !value->absent();
  }
  return n.yield(scalar_of(n.graph(), DType::kBool, there ? 1.0 : 0.0));
}

constexpr HandlerRow kRows[] = {
    {"ConcatFromSequence", concat_from_sequence},
    {"Optional", optional},
    {"OptionalGetElement", optional_get_element},
    {"OptionalHasElement", optional_has_element},
    {"SequenceAt", sequence_at},
    {"SequenceConstruct", sequence_construct},
    {"SequenceEmpty", sequence_empty},
    {"SequenceErase", sequence_erase},
    {"SequenceInsert", sequence_insert},
    {"SequenceLength", sequence_length},
    {"SequenceMap", sequence_map},
    {"SplitToSequence", split_to_sequence},
};

}  // namespace

std::span<const HandlerRow> sequence_handlers() { return kRows; }

}  // namespace inkling::onnx_import
