#include "rerank/guardrails.h"

#include <algorithm>

namespace inkling {

namespace {

constexpr std::uint32_t kFree = 0xffffffff;

class Placement {
 public:
  Placement(std::span<const std::uint32_t> wanted, const Guardrails& rules,
            const GuardrailItems& items)
      : wanted_(wanted),
        rules_(rules),
        items_(items),
        order_(wanted.size(), kFree),
        placed_(wanted.size(), false) {
    for (const Pin& pin : rules.pins) {
      order_[pin.place] = pin.item;
      placed_[pin.item] = true;
    }
  }

  std::vector<std::uint32_t> run() {
    for (std::size_t place = 0; place < order_.size(); ++place) {
      if (order_[place] != kFree) continue;
      const std::uint32_t item = choose(place);
      order_[place] = item;
      placed_[item] = true;
    }
    return std::move(order_);
  }

 private:
  // The best item that keeps every rule; else the rules are given up from the weakest on. The move
  // is always possible: the server's own order is within it, pins apart.
  std::uint32_t choose(std::size_t place) {
    const bool fresh = needs_fresh(place);
    for (const auto& [spaced, must_be_fresh] :
         {std::pair(true, fresh), std::pair(false, fresh), std::pair(false, false)}) {
      for (const std::uint32_t item : wanted_) {
        if (placed_[item] || (must_be_fresh && !is_fresh(item)) || (spaced && crowds(item, place)))
          continue;
        if (leaves_moves(item, place)) return item;
      }
    }
    return *std::find_if(wanted_.begin(), wanted_.end(),  // pins pushed everything too far
                         [&](std::uint32_t item) { return !placed_[item]; });
  }

  bool is_fresh(std::uint32_t item) const { return !items_.fresh.empty() && items_.fresh[item]; }

  bool needs_fresh(std::size_t place) const {
    if (place >= rules_.fresh_places || items_.fresh.empty()) return false;
    const std::size_t end = std::min(rules_.fresh_places, order_.size());
    std::size_t have = 0, open = 0;
    for (std::size_t i = 0; i < end; ++i) {
      if (order_[i] == kFree)
        ++open;
      else
        have += is_fresh(order_[i]);
    }
    return have < rules_.fresh_min && rules_.fresh_min - have >= open;
  }

  bool crowds(std::uint32_t item, std::size_t place) const {
    if (rules_.spacing == 0 || items_.categories.empty() || items_.categories[item] == 0)
      return false;
    const std::size_t begin = place > rules_.spacing ? place - rules_.spacing : 0;
    const std::size_t end = std::min(order_.size(), place + rules_.spacing + 1);
    for (std::size_t i = begin; i < end; ++i)
      if (order_[i] != kFree && items_.categories[order_[i]] == items_.categories[item])
        return true;
    return false;
  }

  bool within(std::size_t item, std::size_t place) const {
    return (item > place ? item - place : place - item) <= rules_.move_max;
  }

  // Whether, with `item` here, all others can still be within their move. Windows of one width are
  // met by the server's order if by any.
  bool leaves_moves(std::uint32_t item, std::size_t place) const {
    if (!within(item, place)) return false;
    std::size_t next = 0;
    for (std::size_t at = place + 1; at < order_.size(); ++at) {
      if (order_[at] != kFree) continue;
      while (placed_[next] || next == item) ++next;
      if (!within(next++, at)) return false;
    }
    return true;
  }

  std::span<const std::uint32_t> wanted_;
  const Guardrails& rules_;
  const GuardrailItems& items_;
  std::vector<std::uint32_t> order_;  // by place
  std::vector<bool> placed_;          // by item
};

Result<void> check(std::span<const std::uint32_t> wanted, const Guardrails& rules,
                   const GuardrailItems& items) {
  const std::size_t n = wanted.size();
  std::vector<bool> seen(n, false), item_pinned(n, false), place_pinned(n, false);
  for (const std::uint32_t i : wanted) {
    if (i >= n || seen[i])
      return fail(ErrorCode::kInvalidArgument, "guardrails: item ", i, " of ", n,
                  " is out of range or wanted twice");
    seen[i] = true;
  }
  for (const Pin& pin : rules.pins) {
    if (pin.item >= n || pin.place >= n || item_pinned[pin.item] || place_pinned[pin.place]) {
      return fail(ErrorCode::kInvalidArgument, "guardrails: pin of item ", pin.item, " at place ",
                  pin.place, " of ", n, ": out of range or there twice");
    }
    item_pinned[pin.item] = place_pinned[pin.place] = true;
  }
  for (const std::size_t size : {items.categories.size(), items.fresh.size()}) {
    if (size != 0 && size != n)
      return fail(ErrorCode::kInvalidArgument, "guardrails: ", size, " marks for ", n, " items");
  }
  return {};
}

}  // namespace

Result<std::vector<std::uint32_t>> apply_guardrails(std::span<const std::uint32_t> wanted,
                                                    const Guardrails& rules,
                                                    const GuardrailItems& items) {
  INK_CHECK_OK(check(wanted, rules, items));
  return Placement(wanted, rules, items).run();
}

}  // namespace inkling
