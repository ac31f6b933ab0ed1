#pragma once
// FeatureSchema: what a model sees of a candidate, in one definition for training and serving.
//
// A schema is a list of features, each with a name, a meaning and a default; it lays them out one
// after the other in a row of f32[width()]. Its fingerprint covers all of that: it is in every
// model, every logged impression and every upload, and rows of different fingerprints never mix.
// Immutable once made; any thread may use one.

#include <memory>
#include <span>

#include "rerank/slate.h"
#include "runtime/base/bytes.h"

namespace inkling {

// Stored by number: never renumber, only append.
enum class FeatureKind : std::uint8_t {
  kNumeric = 1,  // one column: (value - mean) / scale
  kBucket,       // a one-hot of boundaries + 1 columns: column i counts the boundaries <= value
  kCategory,     // a one-hot of categories + 1 columns; the last is for every other category
  kIsNone        // one column: 1 for the outside option, else 0; takes no raw value
};

struct FeatureSpec {
  std::string name;
  FeatureKind kind = FeatureKind::kNumeric;
  double missing = 0;  // kNumeric, kBucket: stands in for a value that is absent or NaN
  double mean = 0;     // kNumeric
  double scale = 1;    // kNumeric: > 0
  std::vector<double> boundaries{};       // kBucket: ascending
  std::vector<std::string> categories{};  // kCategory: distinct; an absent value is "every other"
  bool operator==(const FeatureSpec&) const = default;
};

std::size_t feature_width(const FeatureSpec& spec);  // columns

inline constexpr std::size_t kFeaturesMax = 1024;
inline constexpr std::size_t kFeatureWidthMax = 1u << 16;
inline constexpr std::size_t kFeatureNameBytesMax = 256;  // and of a category's name

class FeatureSchema {
 public:
  // The version is the application's: raise it when a feature changes its meaning, not its layout.
  // kInvalidArgument names the feature that cannot be.
  static Result<FeatureSchema> create(std::uint32_t version, std::vector<FeatureSpec> features);

  std::size_t width() const;
  std::uint32_t version() const;
  std::uint64_t fingerprint() const;  // the first eight bytes of SHA-256 over to_bytes()
  std::span<const FeatureSpec> features() const;
  std::vector<std::string> column_names() const;  // "price", "brand=sony", "age[2]"

  // Writes the candidate's row. Features come in any order; those in the schema's order are found
  // at once. kInvalidArgument: an unknown or repeated feature, a number for a category or the
  // reverse, a number beyond what f32 holds, a row of another width.
  Result<void> encode(const Candidate& candidate, std::span<float> row) const;

  // f32[candidates, width()].
  Result<std::vector<float>> encode(std::span<const Candidate> candidates) const;

  // The form that goes into files. parse() accepts only what to_bytes() writes: kCorrupt.
  Bytes to_bytes() const;
  static Result<FeatureSchema> parse(ByteSpan bytes);

 private:
  struct Layout;
  // Shared because a schema is immutable and every model, log and reader keeps one.
  explicit FeatureSchema(std::shared_ptr<const Layout> layout) : layout_(std::move(layout)) {}
  std::shared_ptr<const Layout> layout_;
};

}  // namespace inkling
