#include "rerank/feature_schema.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "runtime/base/sha256.h"

namespace inkling {

namespace {

constexpr std::string_view kMagic = "INKFS1";
constexpr double kF32Max = std::numeric_limits<float>::max();

bool valid_name(const std::string& name) {
  return !name.empty() && name.size() <= kFeatureNameBytesMax;
}

bool fits_f32(const FeatureSpec& spec, double value) {
  return std::abs((value - spec.mean) / spec.scale) <= kF32Max;
}

// What is wrong with the feature on its own, or empty.
std::string_view fault(const FeatureSpec& spec) {
  if (!valid_name(spec.name)) return "a name of 0 or more than 256 bytes";
  if (spec.kind < FeatureKind::kNumeric || spec.kind > FeatureKind::kIsNone) return "unknown kind";
  if (!std::isfinite(spec.missing) || !std::isfinite(spec.mean)) return "a constant is not finite";
  if (!(spec.scale > 0) || !std::isfinite(spec.scale)) return "scale must be above 0";
  if (!fits_f32(spec, spec.missing)) return "missing is beyond what f32 holds";
  if (spec.kind != FeatureKind::kNumeric && (spec.mean != 0 || spec.scale != 1))
    return "mean and scale are for numeric features";
  if ((spec.kind == FeatureKind::kBucket) == spec.boundaries.empty())
    return "boundaries are for bucket features, which need some";
  if ((spec.kind == FeatureKind::kCategory) == spec.categories.empty())
    return "categories are for category features, which need some";
  const auto& b = spec.boundaries;
  if (!std::all_of(b.begin(), b.end(), [](double v) { return std::isfinite(v); }) ||
      std::adjacent_find(b.begin(), b.end(), std::greater_equal<>()) != b.end())
    return "boundaries must be finite and ascending";
  std::vector<std::string> sorted = spec.categories;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end() ||
      !std::all_of(sorted.begin(), sorted.end(), valid_name))
    return "categories must be distinct, of 1 to 256 bytes";
  return {};
}

void write_text(ByteWriter& out, std::string_view text) {
  out.u32(static_cast<std::uint32_t>(text.size()));
  out.text(text);
}

void write_real(ByteWriter& out, double v) { out.u64(std::bit_cast<std::uint64_t>(v)); }

std::string read_text(ByteReader& in) { return std::string(as_text(in.raw(in.u32()))); }

double read_real(ByteReader& in) { return std::bit_cast<double>(in.u64()); }

// Elements are read one by one until the reader runs dry, so a wrong count cannot reserve memory.
FeatureSpec read_feature(ByteReader& in) {
  FeatureSpec spec;
  spec.name = read_text(in);
  spec.kind = static_cast<FeatureKind>(in.u8());
  spec.missing = read_real(in);
  spec.mean = read_real(in);
  spec.scale = read_real(in);
  for (std::uint32_t n = in.u32(); n > 0 && in.ok(); --n) spec.boundaries.push_back(read_real(in));
  for (std::uint32_t n = in.u32(); n > 0 && in.ok(); --n) spec.categories.push_back(read_text(in));
  return spec;
}

}  // namespace

std::size_t feature_width(const FeatureSpec& spec) {
  switch (spec.kind) {
    case FeatureKind::kBucket:
      return spec.boundaries.size() + 1;
    case FeatureKind::kCategory:
      return spec.categories.size() + 1;
    case FeatureKind::kNumeric:
    case FeatureKind::kIsNone:
      break;
  }
  return 1;
}

struct FeatureSchema::Layout {
  std::uint32_t version = 0;
  std::vector<FeatureSpec> features;
  std::vector<std::size_t> columns;  // the first column of each feature
  std::size_t width = 0;
  std::uint64_t fingerprint = 0;
  std::unordered_map<std::string, std::size_t> index;

  Result<std::size_t> find(const std::string& name) const;
  // The most frequent case of write(), done where it can be: a number for a numeric feature.
  bool write_number_at_once(const FeatureValue& raw, std::size_t at, std::span<float> row) const {
    const FeatureSpec& spec = features[at];
    const auto* number = std::get_if<double>(&raw.value);
    if (spec.kind != FeatureKind::kNumeric || number == nullptr) return false;
    const double scaled = (*number - spec.mean) / spec.scale;
    if (!(std::abs(scaled) <= kF32Max)) return false;  // or NaN: missing
    row[columns[at]] = static_cast<float>(scaled);
    return true;
  }
  Result<void> write(const FeatureValue& raw, std::size_t at, std::span<float> row) const;
  void write_default(std::size_t at, bool is_none, std::span<float> row) const;
  void write_number(std::size_t at, double value, std::span<float> row) const;
};

Result<std::size_t> FeatureSchema::Layout::find(const std::string& name) const {
  const auto found = index.find(name);
  if (found == index.end())
    return fail(ErrorCode::kInvalidArgument, "feature schema ", version, ": unknown feature ",
                name);
  return found->second;
}

void FeatureSchema::Layout::write_number(std::size_t at, double value, std::span<float> row) const {
  const FeatureSpec& spec = features[at];
  if (spec.kind == FeatureKind::kNumeric) {
    row[columns[at]] = static_cast<float>((value - spec.mean) / spec.scale);
    return;
  }
  const auto& b = spec.boundaries;
  const auto bucket = std::upper_bound(b.begin(), b.end(), value) - b.begin();
  row[columns[at] + static_cast<std::size_t>(bucket)] = 1;
}

void FeatureSchema::Layout::write_default(std::size_t at, bool is_none,
                                          std::span<float> row) const {
  const FeatureSpec& spec = features[at];
  switch (spec.kind) {
    case FeatureKind::kIsNone:
      row[columns[at]] = is_none ? 1.0f : 0.0f;
      return;
    case FeatureKind::kCategory:
      row[columns[at] + spec.categories.size()] = 1;
      return;
    case FeatureKind::kNumeric:
    case FeatureKind::kBucket:
      write_number(at, spec.missing, row);
  }
}

Result<void> FeatureSchema::Layout::write(const FeatureValue& raw, std::size_t at,
                                          std::span<float> row) const {
  const FeatureSpec& spec = features[at];
  const auto refuse = [&](const auto&... why) {
    return fail(ErrorCode::kInvalidArgument, "feature schema ", version, ": ", spec.name, " ",
                why...);
  };
  if (spec.kind == FeatureKind::kIsNone) return refuse("takes no value");
  if (spec.kind == FeatureKind::kCategory) {
    const auto* name = std::get_if<std::string>(&raw.value);
    if (name == nullptr) return refuse("is a number, expected a category");
    const auto found = std::find(spec.categories.begin(), spec.categories.end(), *name);
    row[columns[at] + static_cast<std::size_t>(found - spec.categories.begin())] = 1;
    return {};
  }
  const auto* number = std::get_if<double>(&raw.value);
  if (number == nullptr) return refuse("is a category, expected a number");
  const double value = std::isnan(*number) ? spec.missing : *number;
  if (!fits_f32(spec, value)) return refuse("is ", value, ", beyond what f32 holds");
  write_number(at, value, row);
  return {};
}

Result<FeatureSchema> FeatureSchema::create(std::uint32_t version,
                                            std::vector<FeatureSpec> features) {
  if (features.empty() || features.size() > kFeaturesMax) {
    return fail(ErrorCode::kInvalidArgument, "feature schema ", version, ": ", features.size(),
                " features, expected 1 to ", kFeaturesMax);
  }
  auto layout = std::make_shared<Layout>();
  layout->version = version;
  for (std::size_t i = 0; i < features.size(); ++i) {
    const FeatureSpec& spec = features[i];
    std::string_view why = fault(spec);
    if (why.empty() && !layout->index.emplace(spec.name, i).second) why = "named twice";
    layout->columns.push_back(layout->width);
    layout->width += feature_width(spec);
    if (why.empty() && layout->width > kFeatureWidthMax) why = "the row is wider than 65536";
    if (!why.empty()) {
      return fail(ErrorCode::kInvalidArgument, "feature schema ", version, ": feature ", i, " (",
                  spec.name.substr(0, kFeatureNameBytesMax), "): ", why);
    }
  }
  layout->features = std::move(features);
  const Sha256Digest digest = sha256(FeatureSchema(layout).to_bytes());
  layout->fingerprint = ByteReader(digest).u64();
  return FeatureSchema(std::move(layout));
}

std::size_t FeatureSchema::width() const { return layout_->width; }
std::uint32_t FeatureSchema::version() const { return layout_->version; }
std::uint64_t FeatureSchema::fingerprint() const { return layout_->fingerprint; }
std::span<const FeatureSpec> FeatureSchema::features() const { return layout_->features; }

std::vector<std::string> FeatureSchema::column_names() const {
  std::vector<std::string> names;
  for (const FeatureSpec& spec : layout_->features) {
    if (spec.kind == FeatureKind::kCategory) {
      for (const std::string& category : spec.categories)
        names.push_back(concat(spec.name, "=", category));
      names.push_back(concat(spec.name, "=other"));
    } else if (spec.kind == FeatureKind::kBucket) {
      for (std::size_t i = 0; i < feature_width(spec); ++i)
        names.push_back(concat(spec.name, "[", i, "]"));
    } else {
      names.push_back(spec.name);
    }
  }
  return names;
}

Result<void> FeatureSchema::encode(const Candidate& candidate, std::span<float> row) const {
  if (row.size() != width()) {
    return fail(ErrorCode::kInvalidArgument, "feature schema ", version(), ": a row of ",
                row.size(), " columns, expected ", width());
  }
  std::fill(row.begin(), row.end(), 0.0f);
  std::array<bool, kFeaturesMax> given;
  std::fill_n(given.begin(), layout_->features.size(), false);
  for (std::size_t i = 0; i < candidate.features.size(); ++i) {
    const FeatureValue& raw = candidate.features[i];
    std::size_t at = i;  // where it is when values come in the schema's order
    if (at >= layout_->features.size() || layout_->features[at].name != raw.name) {
      INK_TRY(at, layout_->find(raw.name));
    }
    if (given[at]) {
      return fail(ErrorCode::kInvalidArgument, "feature schema ", version(), ": ", raw.name,
                  " is given twice");
    }
    given[at] = true;
    if (layout_->write_number_at_once(raw, at, row)) continue;
    INK_CHECK_OK(layout_->write(raw, at, row));
  }
  for (std::size_t at = 0; at < layout_->features.size(); ++at)
    if (!given[at]) layout_->write_default(at, candidate.is_none, row);
  return {};
}

Result<std::vector<float>> FeatureSchema::encode(std::span<const Candidate> candidates) const {
  std::vector<float> rows(candidates.size() * width());
  for (std::size_t i = 0; i < candidates.size(); ++i)
    INK_CHECK_OK(encode(candidates[i], std::span(rows).subspan(i * width(), width())));
  return rows;
}

Bytes FeatureSchema::to_bytes() const {
  ByteWriter out;
  out.text(kMagic);
  out.u32(layout_->version);
  out.u32(static_cast<std::uint32_t>(layout_->features.size()));
  for (const FeatureSpec& spec : layout_->features) {
    write_text(out, spec.name);
    out.u8(static_cast<std::uint8_t>(spec.kind));
    write_real(out, spec.missing);
    write_real(out, spec.mean);
    write_real(out, spec.scale);
    out.u32(static_cast<std::uint32_t>(spec.boundaries.size()));
    for (const double boundary : spec.boundaries) write_real(out, boundary);
    out.u32(static_cast<std::uint32_t>(spec.categories.size()));
    for (const std::string& category : spec.categories) write_text(out, category);
  }
  return out.take();
}

Result<FeatureSchema> FeatureSchema::parse(ByteSpan bytes) {
  ByteReader in(bytes);
  if (as_text(in.raw(kMagic.size())) != kMagic)
    return fail(ErrorCode::kCorrupt, "feature schema: does not start with ", kMagic);
  const std::uint32_t version = in.u32();
  const std::uint32_t count = in.u32();
  std::vector<FeatureSpec> features;
  while (features.size() < std::min<std::size_t>(count, kFeaturesMax) && in.ok())
    features.push_back(read_feature(in));
  if (!in.finished() || features.size() != count)
    return fail(ErrorCode::kCorrupt, "feature schema: ", bytes.size(), " bytes do not hold ", count,
                " features");
  auto schema = create(version, std::move(features));
  if (!schema) return fail(ErrorCode::kCorrupt, schema.error().message);
  return schema;
}

}  // namespace inkling
