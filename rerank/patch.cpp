#include "rerank/patch.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace inkling {

namespace {

constexpr std::string_view kMagic = "INKPATCH";
constexpr std::string_view kKey = "rerank/patch";

std::string short_hex(const Sha256Digest& digest) { return to_hex(ByteSpan(digest).first(8)); }

}  // namespace

Result<Bytes> encode_patch(const Patch& patch) {
  if (patch.delta.size() > kPatchFloatsMax) {
    return fail(ErrorCode::kResourceLimit, "patch: ", patch.delta.size(), " numbers, limit ",
                kPatchFloatsMax);
  }
  if (!std::all_of(patch.delta.begin(), patch.delta.end(),
                   [](float v) { return std::isfinite(v); }))
    return fail(ErrorCode::kInvalidArgument, "patch: a number that is not finite");
  ByteWriter out;
  out.text(kMagic);
  out.u32(kPatchVersion);
  out.u32(static_cast<std::uint32_t>(patch.delta.size()));
  out.raw(patch.base);
  for (const float v : patch.delta) out.u32(std::bit_cast<std::uint32_t>(v));
  const Sha256Digest digest = sha256(out.bytes());
  out.raw(digest);
  return out.take();
}

Result<Patch> decode_patch(ByteSpan bytes) {
  constexpr std::size_t kDigestBytes = std::tuple_size_v<Sha256Digest>;
  if (bytes.size() < kMagic.size() + 8 + 2 * kDigestBytes)
    return fail(ErrorCode::kCorrupt, "patch: only ", bytes.size(), " bytes");
  const ByteSpan body = bytes.first(bytes.size() - kDigestBytes);
  const Sha256Digest digest = sha256(body);
  if (!std::equal(digest.begin(), digest.end(), bytes.end() - kDigestBytes))
    return fail(ErrorCode::kCorrupt, "patch: the SHA-256 digest differs: changed or damaged");
  ByteReader in(body);
  if (as_text(in.raw(kMagic.size())) != kMagic)
    return fail(ErrorCode::kCorrupt, "patch: the bytes do not begin with ", kMagic);
  if (const std::uint32_t version = in.u32(); version != kPatchVersion) {
    return fail(ErrorCode::kUnsupported, "patch: version ", version, ", this build reads ",
                kPatchVersion);
  }
  const std::size_t count = in.u32();
  if (count > kPatchFloatsMax || in.remaining() != kDigestBytes + 4 * count) {
    return fail(ErrorCode::kCorrupt, "patch: ", count, " numbers in ", bytes.size(), " bytes");
  }
  Patch patch;
  const ByteSpan base = in.raw(kDigestBytes);
  std::copy(base.begin(), base.end(), patch.base.begin());
  patch.delta.resize(count);
  for (float& v : patch.delta) {
    v = std::bit_cast<float>(in.u32());
    if (!std::isfinite(v)) return fail(ErrorCode::kCorrupt, "patch: a number that is not finite");
  }
  return patch;
}

Result<void> check_patch(const Patch& patch, const Sha256Digest& base, std::size_t parameters) {
  if (patch.base != base) {
    return fail(ErrorCode::kVerification, "patch: belongs to model ", short_hex(patch.base),
                "..., expected ", short_hex(base), "...");
  }
  if (patch.delta.size() != parameters) {
    return fail(ErrorCode::kInvalidArgument, "patch: ", patch.delta.size(), " numbers, expected ",
                parameters);
  }
  return {};
}

Result<void> save_patch(KeyValue& store, const Patch& patch) {
  INK_TRY(const Bytes bytes, encode_patch(patch));
  return store.put(kKey, bytes);
}

Result<Patch> load_patch(KeyValue& store) {
  INK_TRY(const Bytes bytes, store.get(kKey));
  return decode_patch(bytes);
}

Result<void> drop_patch(KeyValue& store) { return store.erase(kKey); }

}  // namespace inkling
