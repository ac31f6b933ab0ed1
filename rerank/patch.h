#pragma once
// Patch: what one person's device adds to the weights of the global model.
//
// A patch means something only beside the exact model that it was trained on, so it carries that
// model's digest, and is refused on any other. It stays on the device.
//
// Bytes (little-endian): "INKPATCH", u32 version, u32 count, 32 bytes digest of the base model,
// count f32, then SHA-256 of everything before.

#include <span>
#include <vector>

#include "runtime/base/sha256.h"
#include "storage/key_value.h"

namespace inkling {

struct Patch {
  Sha256Digest base{};         // model_identity() of the model it belongs to
  std::vector<float> delta{};  // in the order of model_parameters()
  bool operator==(const Patch&) const = default;
};

inline constexpr std::size_t kPatchFloatsMax = 1u << 20;
inline constexpr std::uint32_t kPatchVersion = 1;

// kResourceLimit: over kPatchFloatsMax. kInvalidArgument: a number that is not finite.
Result<Bytes> encode_patch(const Patch& patch);

// kCorrupt: not a patch, truncated, trailing bytes, or any bit changed. kUnsupported: a newer
// version.
Result<Patch> decode_patch(ByteSpan bytes);

// kVerification: the patch belongs to another base. kInvalidArgument: another number of parameters.
Result<void> check_patch(const Patch& patch, const Sha256Digest& base, std::size_t parameters);

// Keeps at most one patch a device. load gives kNotFound when there is none.
Result<void> save_patch(KeyValue& store, const Patch& patch);
Result<Patch> load_patch(KeyValue& store);
Result<void> drop_patch(KeyValue& store);

}  // namespace inkling
