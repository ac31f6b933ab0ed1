#include "rerank/history.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numbers>

#include "runtime/base/sha256.h"

namespace inkling {

namespace {

constexpr std::string_view kMagic = "INKHIST1";
constexpr std::string_view kLayoutMagic = "INKHLAY1";
constexpr std::string_view kPrefix = "history:";
constexpr double kEvidence = 2.0;          // choices after which a numeric profile counts half
constexpr std::size_t kOneHotColumns = 5;  // of a group that is one
constexpr std::size_t kNarrow = 64;        // columns of such a group that are worked out beforehand

bool is_one_hot(FeatureKind kind) {
  return kind == FeatureKind::kCategory || kind == FeatureKind::kBucket;
}

std::string group_name(const FeatureSpec& spec) {
  return is_one_hot(spec.kind) ? spec.name : spec.name.substr(0, spec.name.find('/'));
}

std::vector<HistoryLayout::Group> group(const FeatureSchema& base) {
  std::vector<HistoryLayout::Group> groups;
  std::size_t column = 0;
  for (const FeatureSpec& spec : base.features()) {
    const std::size_t width = feature_width(spec);
    const std::string name = group_name(spec);
    const bool joins = !groups.empty() && !is_one_hot(spec.kind) && !groups.back().exclusive &&
                       groups.back().name == name && spec.name.find('/') != std::string::npos;
    if (joins) {
      groups.back().end += width;
    } else {
      groups.push_back({name, column, column + width, is_one_hot(spec.kind)});
    }
    column += width;
  }
  return groups;
}

void write_reals(ByteWriter& out, std::span<const double> values) {
  for (const double v : values) out.u64(std::bit_cast<std::uint64_t>(v));
}
void write_row(ByteWriter& out, std::span<const float> row) {
  for (const float v : row) out.u32(std::bit_cast<std::uint32_t>(v));
}
void read_reals(ByteReader& in, std::span<double> values) {
  for (double& v : values) v = std::bit_cast<double>(in.u64());
}
void read_row(ByteReader& in, std::span<float> row) {
  for (float& v : row) v = std::bit_cast<float>(in.u32());
}

// Names the numbers of a prior: they are part of what the taste column means.
std::string prior_tag(const TastePrior& prior) {
  ByteWriter out;
  write_reals(out, prior.mean);
  write_reals(out, prior.covariance);
  return to_hex(ByteSpan(sha256(out.bytes())).first(8));
}

std::vector<FeatureSpec> history_features(std::span<const HistoryLayout::Group> groups,
                                          const HistoryOptions& options) {
  std::vector<FeatureSpec> features;
  const auto add = [&](const auto&... parts) {
    features.push_back({.name = concat(kPrefix, parts...)});
  };
  for (const HistoryLayout::Group& g : groups) {
    if (g.exclusive) {
      for (const char* what : {"share", "rate", "fast", "slow", "latest"}) add(g.name, " ", what);
    } else {
      for (const char* what : {"profile", "slow"}) add(g.name, " ", what);
    }
  }
  for (const char* what : {"choices", "shown", "rate", "fast", "slow", "recency"})
    add("item ", what);
  // The options are part of what the columns mean, so they go into the fingerprint.
  add("experience ", options.fast, " ", options.slow, " ", options.prior);
  if (!options.taste.empty()) add("taste ", prior_tag(options.taste));
  return features;
}

double dot(std::span<const float> x, std::span<const double> w) {
  double total = 0;
  for (std::size_t i = 0; i < x.size(); ++i) total += static_cast<double>(x[i]) * w[i];
  return total;
}

}  // namespace

struct HistoryLayout::Parts {
  FeatureSchema base, schema;
  HistoryOptions options;
  std::vector<Group> groups;
};

Result<HistoryLayout> HistoryLayout::create(FeatureSchema base, const HistoryOptions& options) {
  const auto inside = [](double v) { return v > 0 && v < 1; };
  if (!inside(options.fast) || !inside(options.slow) || !(options.prior > 0) ||
      !std::isfinite(options.prior)) {
    return fail(ErrorCode::kInvalidArgument, "history: fast ", options.fast, ", slow ",
                options.slow, ", prior ", options.prior,
                ": expected decays in (0, 1) and a prior above 0");
  }
  INK_CHECK_OK(check_taste_prior(options.taste));
  if (!options.taste.empty() && options.taste.mean.size() != base.width()) {
    return fail(ErrorCode::kInvalidArgument, "history: a taste of ", options.taste.mean.size(),
                " columns, expected ", base.width());
  }
  std::vector<Group> groups = group(base);
  std::vector<FeatureSpec> all(base.features().begin(), base.features().end());
  for (FeatureSpec& spec : history_features(groups, options)) all.push_back(std::move(spec));
  INK_TRY(FeatureSchema schema, FeatureSchema::create(base.version(), std::move(all)));
  return HistoryLayout(std::make_shared<const Parts>(
      Parts{std::move(base), std::move(schema), options, std::move(groups)}));
}

const FeatureSchema& HistoryLayout::base() const { return parts_->base; }
const FeatureSchema& HistoryLayout::schema() const { return parts_->schema; }
const HistoryOptions& HistoryLayout::options() const { return parts_->options; }
std::span<const HistoryLayout::Group> HistoryLayout::groups() const { return parts_->groups; }

Bytes HistoryLayout::to_bytes() const {
  const HistoryOptions& o = options();
  const Bytes schema_bytes = base().to_bytes();
  ByteWriter out;
  out.text(kLayoutMagic);
  out.u32(static_cast<std::uint32_t>(schema_bytes.size()));
  out.raw(schema_bytes);
  write_reals(out, std::array{o.fast, o.slow, o.prior});
  out.u32(static_cast<std::uint32_t>(o.taste.mean.size()));
  write_reals(out, o.taste.mean);
  write_reals(out, o.taste.covariance);
  return out.take();
}

Result<HistoryLayout> HistoryLayout::parse(ByteSpan bytes) {
  ByteReader in(bytes);
  if (as_text(in.raw(kLayoutMagic.size())) != kLayoutMagic)
    return fail(ErrorCode::kCorrupt, "history layout: does not start with ", kLayoutMagic);
  INK_TRY(FeatureSchema base, FeatureSchema::parse(in.raw(in.u32())));
  HistoryOptions o;
  for (double* v : {&o.fast, &o.slow, &o.prior}) read_reals(in, std::span(v, 1));
  const std::size_t width = in.u32();
  if (width > kTasteWidthMax || in.remaining() != 8 * width * (width + 1)) {
    return fail(ErrorCode::kCorrupt, "history layout: ", in.remaining(), " bytes for a taste of ",
                width, " columns");
  }
  o.taste.mean.resize(width);
  o.taste.covariance.resize(width * width);
  read_reals(in, o.taste.mean);
  read_reals(in, o.taste.covariance);
  auto layout = create(std::move(base), o);
  if (!layout) return fail(ErrorCode::kCorrupt, layout.error().message);
  return layout;
}

History::History(HistoryLayout layout) : layout_(std::move(layout)) {
  const std::size_t width = layout_.base().width();
  for (auto* sums : {&shown_sum_, &chosen_sum_, &fast_, &slow_}) sums->assign(width, 0.0);
  latest_.assign(width, 0.0f);
  profile_.assign(width, 0.0);
  slow_profile_.assign(width, 0.0);
  one_hot_.assign(width, {});
  refresh();
  if (const TastePrior& prior = layout_.options().taste; !prior.empty()) taste_.emplace(prior);
}

void History::show(ItemId item, std::span<const float> row) {
  ++shown_;
  for (std::size_t i = 0; i < row.size(); ++i) shown_sum_[i] += static_cast<double>(row[i]);
  Item& entry = items_[item];
  entry.shown += 1;
  entry.last_shown = shown_;
}

void History::choose(ItemId item, std::span<const float> row) {
  const HistoryOptions& o = layout_.options();
  ++chosen_;
  fast_total_ = fast_total_ * o.fast + 1;
  slow_total_ = slow_total_ * o.slow + 1;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const auto v = static_cast<double>(row[i]);
    chosen_sum_[i] += v;
    fast_[i] = fast_[i] * o.fast + v;
    slow_[i] = slow_[i] * o.slow + v;
  }
  Item& entry = items_[item];
  entry.memory = entry.memory * std::pow(o.slow, static_cast<double>(chosen_ - entry.last)) + 1;
  entry.chosen += 1;
  entry.last = chosen_;
  latest_.assign(row.begin(), row.end());
  if (recent_.size() == kRecentRowsMax * row.size())
    recent_.erase(recent_.begin(), recent_.begin() + static_cast<std::ptrdiff_t>(row.size()));
  recent_.insert(recent_.end(), row.begin(), row.end());
}

Result<void> History::observe(std::span<const ItemId> items, std::span<const float> features,
                              std::span<const std::size_t> chosen) {
  const std::size_t width = layout_.base().width();
  if (features.size() != items.size() * width) {
    return fail(ErrorCode::kInvalidArgument, "history: ", features.size(), " numbers for ",
                items.size(), " items, expected ", width, " each");
  }
  for (const std::size_t i : chosen) {
    if (i >= items.size())
      return fail(ErrorCode::kInvalidArgument, "history: choice ", i, " of ", items.size(),
                  " items");
  }
  const auto row = [&](std::size_t i) { return features.subspan(i * width, width); };
  for (std::size_t i = 0; i < items.size(); ++i) show(items[i], row(i));
  for (const std::size_t i : chosen) choose(items[i], row(i));
  if (taste_) taste_->observe(features, chosen);
  if (items_.size() > kHistoryItemsMax) forget_items();
  refresh();
  return {};
}

void History::refresh() {
  const auto n = static_cast<double>(chosen_);
  experience_ = static_cast<float>(std::log1p(n));
  const double trust = n / (n + kEvidence), slow_trust = slow_total_ / (slow_total_ + kEvidence);
  for (const HistoryLayout::Group& g : layout_.groups()) {
    for (std::size_t i = g.begin; i < g.end; ++i) {
      if (g.exclusive && g.end - g.begin <= kNarrow) {
        one_hot_[i] = one_hot_columns(chosen_sum_[i], shown_sum_[i], fast_[i], slow_[i],
                                      static_cast<double>(latest_[i]), g.end - g.begin);
      } else if (!g.exclusive && chosen_ > 0) {
        const double average = shown_sum_[i] / static_cast<double>(shown_);
        profile_[i] = (chosen_sum_[i] / n - average) * trust;
        slow_profile_[i] = (slow_[i] / slow_total_ - average) * slow_trust;
      }
    }
  }
}

History::OneHot History::one_hot_columns(double mine, double shown, double fast, double slow,
                                         double latest, std::size_t width) const {
  const HistoryOptions& o = layout_.options();
  const auto n = static_cast<double>(chosen_), columns = static_cast<double>(width);
  return {
      .share = static_cast<float>(std::log((mine + o.prior / columns) / (n + o.prior) * columns)),
      .rate = static_cast<float>(std::log((mine + o.prior) / (shown + 2 * o.prior))),
      .fast = static_cast<float>(fast / (fast_total_ + o.prior)),
      .slow = static_cast<float>(slow / (slow_total_ + o.prior)),
      .latest = static_cast<float>(latest)};
}

// Encoded rows have their one; others, which an app may log, are weighted sums.
void History::write_one_hot(const HistoryLayout::Group& g, std::span<const float> row,
                            std::span<float> out) const {
  const std::size_t width = g.end - g.begin;
  const auto x = row.subspan(g.begin, width);
  const auto one = std::find_if(x.begin(), x.end(), [](float v) { return v != 0; });
  const bool is_encoded =
      one != x.end() && *one == 1 && std::all_of(one + 1, x.end(), [](float v) { return v == 0; });
  OneHot columns;
  if (is_encoded && width <= kNarrow) {
    columns = one_hot_[g.begin + static_cast<std::size_t>(one - x.begin())];
  } else {
    const auto part = [&](const std::vector<double>& sums) {
      return dot(x, std::span(sums).subspan(g.begin, width));
    };
    double latest = 0;
    for (std::size_t i = 0; i < width; ++i)
      latest += static_cast<double>(x[i]) * static_cast<double>(latest_[g.begin + i]);
    columns = one_hot_columns(part(chosen_sum_), part(shown_sum_), part(fast_), part(slow_), latest,
                              width);
  }
  const std::array<float, kOneHotColumns> all = {columns.share, columns.rate, columns.fast,
                                                 columns.slow, columns.latest};
  std::copy(all.begin(), all.end(), out.begin());
}

// Half of the items go at once, so that the search for the oldest is paid for by many events.
void History::forget_items() {
  std::vector<std::uint64_t> ages;
  for (const auto& [item, entry] : items_) ages.push_back(entry.last_shown);
  const auto middle = ages.begin() + static_cast<std::ptrdiff_t>(ages.size() / 2);
  std::nth_element(ages.begin(), middle, ages.end());
  std::erase_if(items_, [&](const auto& entry) { return entry.second.last_shown < *middle; });
}

void History::write_columns(ItemId item, std::span<const float> base, std::span<float> out) const {
  const HistoryOptions& o = layout_.options();
  std::size_t at = 0;
  const auto put = [&](double v) { out[at++] = static_cast<float>(v); };
  for (const HistoryLayout::Group& g : layout_.groups()) {
    if (g.exclusive) {
      write_one_hot(g, base, out.subspan(at, kOneHotColumns));
      at += kOneHotColumns;
    } else if (const std::size_t width = g.end - g.begin; width == 1) {
      const auto x = static_cast<double>(base[g.begin]);
      put(x * profile_[g.begin]);
      put(x * slow_profile_[g.begin]);
    } else {
      const auto x = base.subspan(g.begin, width);
      put(dot(x, std::span(profile_).subspan(g.begin, width)));
      put(dot(x, std::span(slow_profile_).subspan(g.begin, width)));
    }
  }
  if (const auto found = items_.find(item); found != items_.end()) {
    const Item& mine = found->second;
    const double age = mine.last == 0 ? 0 : static_cast<double>(chosen_ - mine.last);
    put(std::log1p(mine.chosen));
    put(std::log1p(mine.shown));
    put(std::log((mine.chosen + o.prior) / (mine.shown + 2 * o.prior)));
    put(mine.last == 0 ? 0 : std::pow(o.fast, age));
    put(mine.memory == 0 ? 0 : mine.memory * std::pow(o.slow, age) / (slow_total_ + o.prior));
    put(mine.last == 0 ? 0 : 1 / (1 + age));
  } else {  // the same of an item that was never shown
    for (const double v : {0.0, 0.0, -std::numbers::ln2, 0.0, 0.0, 0.0}) put(v);
  }
  put(static_cast<double>(experience_));
  if (taste_) put(taste_->utility(base));
}

Result<std::vector<float>> History::encode(std::span<const Candidate> candidates) const {
  std::vector<float> rows(candidates.size() * layout_.schema().width());
  INK_CHECK_OK(encode(candidates, rows));
  return rows;
}

Result<void> History::encode(std::span<const Candidate> candidates, std::span<float> rows) const {
  const std::size_t base = layout_.base().width(), width = layout_.schema().width();
  if (rows.size() != candidates.size() * width) {
    return fail(ErrorCode::kInvalidArgument, "history: room for ", rows.size(),
                " numbers, expected ", candidates.size() * width);
  }
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const auto row = rows.subspan(i * width, width);
    INK_CHECK_OK(layout_.base().encode(candidates[i], row.first(base)));
    write_columns(candidates[i].item, row.first(base), row.subspan(base));
  }
  return {};
}

Result<void> History::complete(std::span<const ItemId> items, std::span<const float> base,
                               std::span<float> rows) const {
  const std::size_t own = layout_.base().width(), width = layout_.schema().width();
  if (base.size() != items.size() * own || rows.size() != items.size() * width) {
    return fail(ErrorCode::kInvalidArgument, "history: ", base.size(), " numbers and room for ",
                rows.size(), ", expected ", items.size() * own, " and ", items.size() * width);
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto from = base.subspan(i * own, own);
    const auto row = rows.subspan(i * width, width);
    std::copy(from.begin(), from.end(), row.begin());
    write_columns(items[i], from, row.subspan(own));
  }
  return {};
}

Bytes History::to_bytes() const {
  ByteWriter out;
  out.text(kMagic);
  out.u64(layout_.schema().fingerprint());
  out.u64(shown_);
  out.u64(chosen_);
  for (const auto* sums : {&shown_sum_, &chosen_sum_, &fast_, &slow_}) write_reals(out, *sums);
  write_reals(out, std::vector<double>{fast_total_, slow_total_});
  write_row(out, latest_);
  if (taste_) {
    write_reals(out, taste_->posterior().mean);
    write_reals(out, taste_->posterior().covariance);
  }
  out.u32(static_cast<std::uint32_t>(recent_.size()));
  write_row(out, recent_);
  std::vector<ItemId> order;
  for (const auto& [item, entry] : items_) order.push_back(item);
  std::sort(order.begin(), order.end());
  out.u32(static_cast<std::uint32_t>(order.size()));
  for (const ItemId id : order) {
    const Item& entry = items_.at(id);
    out.u64(id);
    write_reals(out, std::vector<double>{entry.shown, entry.chosen, entry.memory});
    out.u64(entry.last);
    out.u64(entry.last_shown);
  }
  return out.take();
}

Result<History> History::parse(HistoryLayout layout, ByteSpan bytes) {
  ByteReader in(bytes);
  if (as_text(in.raw(kMagic.size())) != kMagic)
    return fail(ErrorCode::kCorrupt, "history: does not start with ", kMagic);
  if (const std::uint64_t print = in.u64(); in.ok() && print != layout.schema().fingerprint())
    return fail(ErrorCode::kVerification, "history: made for another feature schema");
  History h(std::move(layout));
  h.shown_ = in.u64();
  h.chosen_ = in.u64();
  for (auto* sums : {&h.shown_sum_, &h.chosen_sum_, &h.fast_, &h.slow_}) read_reals(in, *sums);
  read_reals(in, std::span(&h.fast_total_, 1));
  read_reals(in, std::span(&h.slow_total_, 1));
  read_row(in, h.latest_);
  if (h.taste_) {
    TastePrior posterior = h.taste_->posterior();
    read_reals(in, posterior.mean);
    read_reals(in, posterior.covariance);
    if (in.ok()) INK_CHECK_OK(check_taste_prior(posterior));
    h.taste_.emplace(std::move(posterior));
  }
  const std::size_t recent = in.u32(), width = h.latest_.size();
  if (recent > kRecentRowsMax * width || recent % width != 0)
    return fail(ErrorCode::kCorrupt, "history: ", recent, " numbers of recent rows");
  h.recent_.resize(recent);
  read_row(in, h.recent_);
  const std::uint32_t items = in.u32();
  for (std::uint32_t i = 0; i < items && in.ok(); ++i) {
    const ItemId id = in.u64();
    Item& entry = h.items_[id];
    for (double* v : {&entry.shown, &entry.chosen, &entry.memory}) read_reals(in, std::span(v, 1));
    entry.last = in.u64();
    entry.last_shown = in.u64();
  }
  if (!in.finished() || h.items_.size() != items)
    return fail(ErrorCode::kCorrupt, "history: ", bytes.size(), " bytes do not hold ", items,
                " items");
  h.refresh();
  return h;
}

}  // namespace inkling
