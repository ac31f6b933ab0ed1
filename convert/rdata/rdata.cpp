#include "convert/rdata/rdata.h"

#include <bit>
#include <cmath>

#include "convert/rdata/decompress.h"

namespace inkling {

namespace {

// The codes of "R Internals", as far as data use them.
enum Type : std::uint32_t {
  kSymbol = 1,
  kPairlist = 2,
  kClosure = 3,
  kEnvironment = 4,
  kPromise = 5,
  kLanguage = 6,
  kSpecial = 7,
  kBuiltin = 8,
  kCharacters = 9,
  kLogical = 10,
  kInteger = 13,
  kDouble = 14,
  kComplex = 15,
  kString = 16,
  kDots = 17,
  kVector = 19,
  kExpression = 20,
  kExternalPointer = 22,
  kWeakReference = 23,
  kRaw = 24,
  kS4 = 25,
  kAltrep = 238,
  kAttributePairlist = 239,
  kAttributeLanguage = 240,
  kBaseEnvironment = 241,
  kEmptyEnvironment = 242,
  kPersistent = 247,
  kPackage = 248,
  kNamespace = 249,
  kBaseNamespace = 250,
  kMissingArgument = 251,
  kUnboundValue = 252,
  kGlobalEnvironment = 253,
  kNull = 254,
  kReference = 255
};

constexpr std::uint32_t kHasAttributes = 1u << 9;
constexpr std::uint32_t kHasTag = 1u << 10;
constexpr std::size_t kEncodingBytesMax = 64;
constexpr std::size_t kSymbolBytesMax = 10'000;  // R's own limit
constexpr std::int64_t kSequenceMax = std::int64_t{1} << 26;

RValue value_of(decltype(RValue::data) data) {
  return RValue{.data = std::move(data), .attributes = {}};
}

// Reads one item after the other. Every allocation is charged to the memory limit before it is
// made, and no vector is larger than what is left of the file can fill.
class Parser {
 public:
  Parser(ByteSpan bytes, const RLimits& limits) : bytes_(bytes), limits_(limits) {}

  Result<RValue> file() {
    if (as_text(bytes_).starts_with("RDX2\n") || as_text(bytes_).starts_with("RDX3\n")) at_ = 5;
    const ByteSpan format = bytes_.subspan(at_);
    if (format.size() < 2 || format[0] != 'X' || format[1] != '\n') {
      return fail(ErrorCode::kUnsupported,
                  "R data: not a serialisation in XDR format (RDX2, RDX3 or X)");
    }
    at_ += 2;
    INK_TRY(const std::uint32_t version, u32());
    if (version != 2 && version != 3) {
      return fail(ErrorCode::kUnsupported, "R data: serialisation version ", version,
                  ", expected 2 or 3");
    }
    INK_CHECK_OK(take(8));  // the versions of R that wrote it and that can read it
    if (version == 3) {
      INK_TRY(const std::uint32_t length, u32());
      if (length > kEncodingBytesMax) return corrupt("an encoding name of ", length, " bytes");
      INK_CHECK_OK(take(length));
    }
    INK_TRY(RValue value, item(0));
    if (at_ != bytes_.size()) return corrupt(bytes_.size() - at_, " trailing bytes");
    return value;
  }

 private:
  template <typename... Parts>
  tl::unexpected<Error> corrupt(const Parts&... parts) const {
    return fail(ErrorCode::kCorrupt, "R data: byte ", at_, ": ", parts...);
  }

  Result<ByteSpan> take(std::size_t count) {
    const std::size_t left = bytes_.size() - at_;
    if (count > left) return corrupt("ends too early: ", count, " bytes wanted, ", left, " left");
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }

  template <typename T>
  static T big_endian(const std::uint8_t* p) {
    std::make_unsigned_t<T> v = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) v = (v << 8) | p[i];
    return static_cast<T>(v);
  }

  Result<std::uint32_t> u32() {
    INK_TRY(const ByteSpan b, take(4));
    return big_endian<std::uint32_t>(b.data());
  }

  Result<void> charge(std::size_t bytes) {
    if (bytes > limits_.memory_bytes_max - charged_) {
      return fail(ErrorCode::kResourceLimit, "R data: byte ", at_, ": over the limit of ",
                  limits_.memory_bytes_max, " bytes of memory");
    }
    charged_ += bytes;
    return {};
  }

  // A vector's length, when each element takes at least `bytes_each` of the rest of the file.
  Result<std::size_t> length(std::size_t bytes_each, std::size_t memory_each) {
    INK_TRY(const std::uint32_t count, u32());
    if (count > (bytes_.size() - at_) / bytes_each)  // also the long vectors, which say -1
      return corrupt("a vector of ", static_cast<std::int32_t>(count), " elements, ",
                     bytes_.size() - at_, " bytes left");
    INK_CHECK_OK(charge(count * memory_each));
    return count;
  }

  Result<RValue> item(int depth);
  Result<RValue> item_of(std::uint32_t flags, int depth);
  Result<RValue> vector_of(std::uint32_t flags, int depth);
  Result<RValue> pairlist(std::uint32_t flags, int depth);
  Result<RValue> call(std::uint32_t flags, int depth);
  Result<RValue> environment(int depth);
  Result<RValue> named_environment();
  Result<RValue> reference(std::uint32_t flags);
  Result<RValue> sequence(const RValue& state, bool whole);
  Result<RValue> decimal_strings(const RValue& numbers);
  Result<RValue> alternative(int depth);
  Result<std::optional<std::string>> characters(std::uint32_t flags);
  Result<RValue> symbol();
  Result<std::vector<std::int32_t>> integers();
  Result<std::vector<double>> doubles(std::size_t parts);
  Result<RValue> strings();
  Result<RValue> list(int depth);
  Result<void> attributes(RValue& value, int depth);

  ByteSpan bytes_;
  RLimits limits_;
  std::size_t at_ = 0;
  std::size_t charged_ = 0;
  std::vector<RValue> references_;  // symbols and environments, in order of appearance
};

Result<RValue> Parser::item(int depth) {
  if (depth > limits_.depth_max) {
    return fail(ErrorCode::kResourceLimit, "R data: byte ", at_, ": nested deeper than ",
                limits_.depth_max);
  }
  INK_TRY(const std::uint32_t flags, u32());
  return item_of(flags, depth);
}

Result<RValue> Parser::item_of(std::uint32_t flags, int depth) {
  const std::uint32_t type = flags & 0xff;
  switch (type) {
    case kNull:
    case kMissingArgument:
    case kUnboundValue:
      return value_of(RNull{});
    case kGlobalEnvironment:
    case kBaseEnvironment:
    case kEmptyEnvironment:
    case kBaseNamespace:
      return value_of(ROpaque{"environment"});
    case kSymbol:
      return symbol();
    case kPairlist:
    case kAttributePairlist:
      return pairlist(flags, depth);
    case kLanguage:
    case kAttributeLanguage:
    case kClosure:
    case kPromise:
    case kDots:
      return call(type == kAttributeLanguage ? flags | kHasAttributes : flags, depth);
    case kEnvironment:
      return environment(depth);
    case kPersistent:
    case kPackage:
    case kNamespace:
      return named_environment();
    case kReference:
      return reference(flags);
    case kAltrep:
      return alternative(depth);
    case kSpecial:
    case kBuiltin: {
      INK_TRY(const std::size_t count, length(1, 0));
      INK_CHECK_OK(take(count));
      return value_of(ROpaque{"function"});
    }
    default:
      return vector_of(flags, depth);
  }
}

Result<RValue> Parser::vector_of(std::uint32_t flags, int depth) {
  RValue value;
  switch (const std::uint32_t type = flags & 0xff; type) {
    case kCharacters: {
      INK_TRY(auto text, characters(flags));
      value.data = RStrings{{std::move(text)}};
      break;
    }
    case kLogical: {
      INK_TRY(auto values, integers());
      value.data = RLogicals{std::move(values)};
      break;
    }
    case kInteger: {
      INK_TRY(auto values, integers());
      value.data = RIntegers{std::move(values)};
      break;
    }
    case kDouble: {
      INK_TRY(auto values, doubles(1));
      value.data = RDoubles{std::move(values)};
      break;
    }
    case kComplex: {
      INK_TRY(auto values, doubles(2));
      value.data = RComplexes{std::move(values)};
      break;
    }
    case kString: {
      INK_TRY(value, strings());
      break;
    }
    case kVector:
    case kExpression: {
      INK_TRY(value, list(depth));
      break;
    }
    case kRaw: {
      INK_TRY(const std::size_t count, length(1, 1));
      INK_TRY(const ByteSpan raw, take(count));
      value.data = RRaw{Bytes(raw.begin(), raw.end())};
      break;
    }
    case kS4:
      value.data = ROpaque{"S4 object"};
      break;
    default:
      return fail(ErrorCode::kUnsupported, "R data: byte ", at_, ": items of type ", type,
                  " are not data that this reader knows");
  }
  if ((flags & kHasAttributes) != 0) INK_CHECK_OK(attributes(value, depth));
  return value;
}

Result<std::optional<std::string>> Parser::characters(std::uint32_t flags) {
  if ((flags & 0xff) != kCharacters) return corrupt("type ", flags & 0xff, ", expected a string");
  INK_TRY(const std::uint32_t count, u32());
  if (count == 0xffffffff) return std::optional<std::string>();
  INK_TRY(const ByteSpan text, take(count));
  INK_CHECK_OK(charge(count));
  return std::optional<std::string>(as_text(text));
}

Result<RValue> Parser::symbol() {
  INK_TRY(const std::uint32_t flags, u32());
  INK_TRY(auto name, characters(flags));
  if (name && name->size() > kSymbolBytesMax)
    return corrupt("a symbol of ", name->size(), " bytes");
  INK_CHECK_OK(charge(sizeof(RValue)));
  references_.push_back(value_of(RSymbol{name.value_or("NA")}));
  return references_.back();
}

Result<std::vector<std::int32_t>> Parser::integers() {
  INK_TRY(const std::size_t count, length(4, 4));
  INK_TRY(const ByteSpan b, take(count * 4));
  std::vector<std::int32_t> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = big_endian<std::int32_t>(&b[4 * i]);
  return values;
}

Result<std::vector<double>> Parser::doubles(std::size_t parts) {
  INK_TRY(const std::size_t items, length(8 * parts, 8 * parts));
  const std::size_t count = items * parts;
  INK_TRY(const ByteSpan b, take(count * 8));
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = std::bit_cast<double>(big_endian<std::uint64_t>(&b[8 * i]));
  return values;
}

Result<RValue> Parser::strings() {
  INK_TRY(const std::size_t count, length(8, sizeof(std::optional<std::string>)));
  RStrings strings;
  strings.values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    INK_TRY(const std::uint32_t flags, u32());
    INK_TRY(auto text, characters(flags));
    strings.values.push_back(std::move(text));
  }
  return value_of(std::move(strings));
}

Result<RValue> Parser::list(int depth) {
  INK_TRY(const std::size_t count, length(4, sizeof(RValue)));
  RList list;
  list.values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    INK_TRY(RValue element, item(depth + 1));
    list.values.push_back(std::move(element));
  }
  return value_of(std::move(list));
}

Result<void> Parser::attributes(RValue& value, int depth) {
  INK_TRY(RValue pairs, item(depth + 1));
  auto* list = std::get_if<RList>(&pairs.data);
  if (list == nullptr) {
    if (std::holds_alternative<RNull>(pairs.data)) return {};
    return corrupt("attributes of kind ", pairs.kind(), ", expected a pairlist");
  }
  const std::vector<std::string> names = pairs.names();
  INK_CHECK_OK(charge(list->values.size() * sizeof(RAttribute)));
  for (std::size_t i = 0; i < list->values.size(); ++i) {
    std::string name = i < names.size() ? names[i] : std::string();
    value.attributes.push_back({std::move(name), std::move(list->values[i])});
  }
  return {};
}

// A chain of cells: its values become a list and its tags the names.
Result<RValue> Parser::pairlist(std::uint32_t flags, int depth) {
  RValue value;
  RList list;
  RStrings names;
  while (true) {
    const std::uint32_t type = flags & 0xff;
    if (type == kNull) break;
    if (type != kPairlist && type != kAttributePairlist) {  // a dotted pair ends in a value
      INK_TRY(RValue last, item_of(flags, depth + 1));
      INK_CHECK_OK(charge(sizeof(RValue) + sizeof(names.values[0])));
      names.values.emplace_back("");
      list.values.push_back(std::move(last));
      break;
    }
    const bool with_attributes = type == kAttributePairlist || (flags & kHasAttributes) != 0;
    if (with_attributes) INK_CHECK_OK(attributes(value, depth));
    RValue tag;
    if ((flags & kHasTag) != 0) {
      INK_TRY(tag, item(depth + 1));
    }
    INK_TRY(RValue element, item(depth + 1));
    const auto* symbol = std::get_if<RSymbol>(&tag.data);
    std::string name = symbol == nullptr ? std::string() : symbol->name;
    INK_CHECK_OK(charge(sizeof(RValue) + sizeof(names.values[0]) + name.size()));
    names.values.emplace_back(std::move(name));
    list.values.push_back(std::move(element));
    INK_TRY(flags, u32());
  }
  value.data = std::move(list);
  value.attributes.push_back({"names", value_of(std::move(names))});
  return value;
}

// Language, closures and promises: attributes, environment or tag, then two items; none is data.
Result<RValue> Parser::call(std::uint32_t flags, int depth) {
  if ((flags & kHasAttributes) != 0) INK_CHECK_OK(item(depth + 1));
  if ((flags & kHasTag) != 0) INK_CHECK_OK(item(depth + 1));
  INK_CHECK_OK(item(depth + 1));
  INK_CHECK_OK(item(depth + 1));
  return value_of(ROpaque{"language"});
}

Result<RValue> Parser::environment(int depth) {
  INK_CHECK_OK(charge(sizeof(RValue)));
  references_.push_back(value_of(ROpaque{"environment"}));
  INK_CHECK_OK(take(4));  // whether it is locked
  for (int part = 0; part < 4; ++part) INK_CHECK_OK(item(depth + 1));
  return value_of(ROpaque{"environment"});
}

Result<RValue> Parser::named_environment() {
  INK_TRY(const std::uint32_t zero, u32());
  if (zero != 0) return corrupt("an environment with ", zero, " names in it, expected 0");
  INK_CHECK_OK(strings());
  INK_CHECK_OK(charge(sizeof(RValue)));
  references_.push_back(value_of(ROpaque{"environment"}));
  return references_.back();
}

Result<RValue> Parser::reference(std::uint32_t flags) {
  std::uint32_t index = flags >> 8;
  if (index == 0) {
    INK_TRY(index, u32());
  }
  if (index == 0 || index > references_.size())
    return corrupt("reference ", index, " of ", references_.size());
  const RValue& value = references_[index - 1];
  const auto* symbol = std::get_if<RSymbol>(&value.data);
  INK_CHECK_OK(charge(symbol == nullptr ? 0 : symbol->name.size()));
  return value;
}

Result<RValue> Parser::sequence(const RValue& state, bool whole) {
  const auto* spec = std::get_if<RDoubles>(&state.data);  // length, first, step
  if (spec == nullptr || spec->values.size() != 3) return corrupt("a bad compact sequence");
  const double count = spec->values[0], first = spec->values[1], step = spec->values[2];
  const double last = first + (count - 1) * step;
  if (!(count >= 0 && count <= static_cast<double>(kSequenceMax)))
    return corrupt("a compact sequence of ", count, " elements");
  if (whole && !(std::abs(first) <= INT32_MAX && std::abs(last) <= INT32_MAX))
    return corrupt("a compact sequence from ", first, " to ", last);
  const auto n = static_cast<std::size_t>(count);
  INK_CHECK_OK(charge(n * sizeof(double)));
  std::vector<double> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = first + static_cast<double>(i) * step;
  if (!whole) return value_of(RDoubles{std::move(values)});
  RIntegers integers;
  for (const double v : values) integers.values.push_back(static_cast<std::int32_t>(v));
  return value_of(std::move(integers));
}

// as.character() of whole numbers, which R puts off; of other numbers R alone knows the digits.
Result<RValue> Parser::decimal_strings(const RValue& numbers) {
  const auto* integers = std::get_if<RIntegers>(&numbers.data);
  if (integers == nullptr) return value_of(ROpaque{"deferred strings"});
  INK_CHECK_OK(charge(integers->values.size() * sizeof(std::optional<std::string>)));
  RStrings strings;
  for (const std::int32_t v : integers->values)
    strings.values.push_back(v == kRIntegerNa ? std::optional<std::string>()
                                              : std::optional(std::to_string(v)));
  return value_of(std::move(strings));
}

// Compact forms that R writes since version 3: a class name, a state, attributes.
Result<RValue> Parser::alternative(int depth) {
  INK_TRY(const RValue info, item(depth + 1));
  INK_TRY(RValue state, item(depth + 1));
  const auto* parts = std::get_if<RList>(&info.data);
  const auto* name = parts == nullptr || parts->values.empty()
                         ? nullptr
                         : std::get_if<RSymbol>(&parts->values[0].data);
  if (name == nullptr) return corrupt("a compact vector without a class");
  RValue value;
  if (name->name == "compact_intseq" || name->name == "compact_realseq") {
    INK_TRY(value, sequence(state, name->name == "compact_intseq"));
  } else if (name->name.starts_with("wrap_") || name->name == "deferred_string") {
    auto* list = std::get_if<RList>(&state.data);
    if (list == nullptr || list->values.empty()) return corrupt("an empty compact vector");
    value = std::move(list->values[0]);
    if (name->name == "deferred_string") {
      INK_TRY(value, decimal_strings(value));
    }
  } else {
    return fail(ErrorCode::kUnsupported, "R data: byte ", at_, ": compact vectors of class ",
                name->name);
  }
  INK_CHECK_OK(attributes(value, depth));
  return value;
}

}  // namespace

Result<RValue> parse_rdata(ByteSpan file, const RLimits& limits) {
  INK_TRY(const Bytes bytes, decompress(file, limits.file_bytes_max));
  return Parser(bytes, limits).file();
}

Result<RValue> read_rdata(const Path& file, const RLimits& limits) {
  INK_TRY(const Bytes bytes, read_file(file, limits.file_bytes_max));
  auto value = parse_rdata(bytes, limits);
  if (!value) return fail_within(std::move(value).error(), file.string());
  return value;
}

}  // namespace inkling
