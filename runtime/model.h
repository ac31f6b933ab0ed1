#pragma once
// Model: a graph with what a person or an app needs to know about it, and its file.
//
// A model file is checked whole before anything in it is believed: a digest over every byte, then
// the structure, then the shape rules of every node. It is opened by mapping: weights are used
// where they lie in the file, so that opening costs one pass of hashing and processes that open the
// same file share its memory. The bytes are described in docs/model-format.md.

#include <map>
#include <string>

#include "runtime/base/file.h"
#include "runtime/base/sha256.h"
#include "runtime/graph.h"

namespace inkling {

struct Model {
  Graph graph;
  std::map<std::string, std::string> metadata;  // "labels", "producer", "feature_schema", ...
};

// The first eight bytes of every model file.
inline constexpr std::string_view kModelMagic = "INKMODEL";
inline constexpr std::uint32_t kModelVersion = 1;

// The file as bytes. kInvalidArgument: the graph has latched an error. kResourceLimit: over the
// limits below.
Result<Bytes> encode_model(const Model& model);

// kCorrupt: not a model file, truncated, a digest that differs, or a structure that does not hold
// together. kUnsupported: made by a newer version. The tensors borrow from `bytes` and keep `owner`
// alive.
Result<Model> decode_model(ByteSpan bytes, std::shared_ptr<const void> owner);

Result<void> save_model(const Model& model, const Path& path);
Result<Model> open_model(const Path& path);  // maps the file

// The digest in the header of a well-formed file: a model's identity, for patches, manifests and
// task plans.
Result<Sha256Digest> model_digest(ByteSpan bytes);

}  // namespace inkling
