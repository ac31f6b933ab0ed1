#pragma once
// History: what one person's past says about a candidate, as columns beside its own features.
//
// Everything is kept as sums over encoded rows, so a request costs the same after ten and after ten
// million of them: counts of each column and item over what was shown and what was chosen, two
// decaying memories, and a taste, which is the posterior of this person's own conditional logit
// (rerank/taste.h). They are what a full recomputation over the log would give, and they never look
// ahead: a row sees only the requests before it.
//
// A base schema's features form groups: a category or bucket is one; numeric features whose names
// agree up to '/' ("genre/war", "genre/drama") are one; any other feature is its own.
//
// A HistoryLayout is immutable and any thread may use one; a History belongs to one thread.

#include <memory>
#include <optional>
#include <unordered_map>

#include "rerank/feature_schema.h"
#include "rerank/taste.h"

namespace inkling {

inline constexpr std::size_t kHistoryItemsMax = 1u << 16;  // the least recently shown go first
inline constexpr std::size_t kRecentRowsMax = 64;          // rows kept for sequence models

struct HistoryOptions {
  double fast = 0.5, slow = 0.95;  // what a memory keeps at each choice, in (0, 1)
  double prior = 0.3;              // pseudo-count of a share, > 0
  TastePrior taste{};              // empty: there is no taste column
};

class HistoryLayout {
 public:
  // kInvalidArgument: options out of range, a taste of another width than the base, or what
  // FeatureSchema::create refuses of the whole.
  static Result<HistoryLayout> create(FeatureSchema base, const HistoryOptions& options = {});

  const FeatureSchema& base() const;
  // The base's features, then one numeric feature for each history column ("history:taste"). Its
  // fingerprint covers the options too.
  const FeatureSchema& schema() const;
  const HistoryOptions& options() const;

  struct Group {
    std::string name;
    std::size_t begin, end;  // columns of the base
    bool exclusive;          // a one-hot: shares have a meaning
  };
  std::span<const Group> groups() const;

  // The form that goes into a model's bundle. parse() accepts only what to_bytes() writes:
  // kCorrupt.
  Bytes to_bytes() const;
  static Result<HistoryLayout> parse(ByteSpan bytes);

 private:
  struct Parts;
  explicit HistoryLayout(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}
  std::shared_ptr<const Parts> parts_;  // shared because immutable, like a FeatureSchema
};

class History {
 public:
  explicit History(HistoryLayout layout);

  // One request: all items were shown, with their rows `features` f32[items, base width], and those
  // at the indices `chosen` were chosen, in this order. kInvalidArgument: sizes that do not fit, or
  // an index beyond the items.
  Result<void> observe(std::span<const ItemId> items, std::span<const float> features,
                       std::span<const std::size_t> chosen);

  // f32[candidates, schema().width()]: the base's columns and the history's. Errors as
  // FeatureSchema::encode.
  Result<std::vector<float>> encode(std::span<const Candidate> candidates) const;
  Result<void> encode(std::span<const Candidate> candidates, std::span<float> rows) const;

  // The same from base rows f32[items, base width], as they were logged. kInvalidArgument: sizes
  // that do not fit.
  Result<void> complete(std::span<const ItemId> items, std::span<const float> base,
                        std::span<float> rows) const;

  std::uint64_t shown_count() const { return shown_; }
  std::uint64_t chosen_count() const { return chosen_; }
  // The rows of the latest kRecentRowsMax choices, oldest first, for models that read sequences.
  std::span<const float> recent_rows() const { return recent_; }
  const HistoryLayout& layout() const { return layout_; }

  // A snapshot that goes on where this one stands. parse() accepts only what to_bytes() of the same
  // layout wrote: kCorrupt, and kVerification for another layout.
  Bytes to_bytes() const;
  static Result<History> parse(HistoryLayout layout, ByteSpan bytes);

 private:
  struct Item {
    double shown = 0, chosen = 0;
    double memory = 0;             // decayed choices, as of `last`
    std::uint64_t last = 0;        // choice number of the latest one, from 1; 0: never
    std::uint64_t last_shown = 0;  // shown number, for forgetting
  };
  struct OneHot {  // the columns of a group
    float share = 0, rate = 0, fast = 0, slow = 0, latest = 0;
  };
  void show(ItemId item, std::span<const float> row);
  void choose(ItemId item, std::span<const float> row);
  void write_columns(ItemId item, std::span<const float> base, std::span<float> out) const;
  void forget_items();
  void refresh();
  OneHot one_hot_columns(double mine, double shown, double fast, double slow, double latest,
                         std::size_t width) const;
  void write_one_hot(const HistoryLayout::Group& group, std::span<const float> row,
                     std::span<float> out) const;

  HistoryLayout layout_;
  std::uint64_t shown_ = 0, chosen_ = 0;
  std::vector<double> shown_sum_, chosen_sum_;  // by base column
  std::vector<double> fast_, slow_;             // decayed sums of chosen rows, by base column
  double fast_total_ = 0, slow_total_ = 0;      // decayed number of choices
  // Made of the sums after each request, so that a candidate's columns are little more than read
  // off. What was chosen against what was shown, by base column; shrunk while there are few
  // choices.
  std::vector<double> profile_, slow_profile_;
  // By base column of a narrow one-hot group: its group's columns where the row's one is there.
  std::vector<OneHot> one_hot_;
  float experience_ = 0;
  std::vector<float> latest_;  // the latest chosen row
  std::unordered_map<ItemId, Item> items_;
  std::optional<Taste> taste_;
  std::vector<float> recent_;  // f32[up to kRecentRowsMax, base width]
};

}  // namespace inkling
