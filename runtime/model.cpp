#include "runtime/model.h"

#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstring>

#include "runtime/base/pages.h"
#include "runtime/op.h"
#include "runtime/schema/model_generated.h"

namespace inkling {

namespace {

// Header, all integers little-endian:
//   0  magic "INKMODEL"        8  u32 version          12  u32 reserved, zero
//   16 u64 graph bytes         24 u64 weight offset    32  u64 weight bytes
//   40 SHA-256 of the whole file with these 32 bytes taken as zero
//   72 zeros to 128; then the graph (flatbuffer), zeros to the weight offset, the weights
constexpr std::size_t kHeaderBytes = 128;
constexpr std::size_t kDigestOffset = 40;
constexpr std::size_t kGraphBytesMax = std::size_t{64} << 20;
constexpr std::size_t kWeightAlignment = kTensorAlignment;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kWeightAlignment - 1) / kWeightAlignment * kWeightAlignment;
}

Sha256Digest digest_of(ByteSpan file) {
  const Sha256Digest zeros{};
  const std::size_t end = kDigestOffset + zeros.size();
  return Sha256()
      .update(file.first(kDigestOffset))
      .update(zeros)
      .update(file.subspan(end))
      .finish();
}

class Encoder {
 public:
  explicit Encoder(const Model& model)
      : model_(model), graph_(model.graph), number_(graph_.values().size()) {}

  Bytes graph() {
    std::vector<flatbuffers::Offset<schema::Leaf>> leaves;
    std::vector<flatbuffers::Offset<schema::Node>> nodes;
    // Values are numbered as the decoder will meet them: the leaves that come before each node,
    // then its results.
    std::uint32_t next = 0;
    std::size_t value = 0;
    for (std::uint32_t i = 0; i <= graph_.nodes().size(); ++i) {
      const std::size_t until = i < graph_.nodes().size()
                                    ? static_cast<std::size_t>(graph_.nodes()[i].outputs[0])
                                    : graph_.values().size();
      for (; value < until; ++value) {
        number_[value] = next++;
        leaves.push_back(leaf(graph_.values()[value], i));
      }
      if (i == graph_.nodes().size()) break;
      nodes.push_back(node(graph_.nodes()[i]));
      for (std::size_t o = 0; o < graph_.nodes()[i].outputs.size(); ++o) number_[value++] = next++;
    }
    std::vector<flatbuffers::Offset<schema::Name>> outputs;
    for (const NamedValue& output : graph_.outputs()) {
      outputs.push_back(
          schema::CreateName(builder_, builder_.CreateString(output.name), number(output.value)));
    }
    std::vector<flatbuffers::Offset<schema::Update>> updates;
    for (const Update& update : graph_.updates()) {
      updates.push_back(
          schema::CreateUpdate(builder_, number(update.variable), number(update.value)));
    }
    std::vector<flatbuffers::Offset<schema::Metadata>> metadata;
    for (const auto& [key, text] : model_.metadata) {
      metadata.push_back(schema::CreateMetadata(builder_, builder_.CreateString(key),
                                                builder_.CreateString(text)));
    }
    builder_.Finish(
        schema::CreateModel(builder_, builder_.CreateVector(leaves), builder_.CreateVector(nodes),
                            builder_.CreateVector(outputs), builder_.CreateVector(updates),
                            builder_.CreateVector(metadata)));
    return {builder_.GetBufferPointer(), builder_.GetBufferPointer() + builder_.GetSize()};
  }

  const std::vector<std::pair<const Tensor*, std::size_t>>& weights() const { return weights_; }
  std::size_t weight_bytes() const { return weight_bytes_; }

 private:
  std::uint32_t number(ValueId id) const { return number_[static_cast<std::size_t>(id)]; }

  flatbuffers::Offset<schema::Leaf> leaf(const Value& value, std::uint32_t at_node) {
    std::size_t offset = 0;
    if (value.tensor) {
      const auto seen = std::find_if(weights_.begin(), weights_.end(),
                                     [&](const auto& w) { return w.first == value.tensor.get(); });
      if (seen != weights_.end()) {
        offset = seen->second;
      } else {
        offset = weight_bytes_;
        weights_.emplace_back(value.tensor.get(), offset);
        weight_bytes_ = aligned(weight_bytes_ + value.spec.bytes());
      }
    }
    const auto kind = value.kind == ValueKind::kInput      ? schema::ValueKind::Input
                      : value.kind == ValueKind::kVariable ? schema::ValueKind::Variable
                                                           : schema::ValueKind::Constant;
    const auto dims = value.spec.shape.dims();
    return schema::CreateLeaf(builder_, kind, builder_.CreateString(value.name),
                              static_cast<std::uint8_t>(value.spec.dtype),
                              builder_.CreateVector(dims.data(), dims.size()), offset, at_node);
  }

  flatbuffers::Offset<schema::Node> node(const Node& node) {
    std::vector<std::uint32_t> inputs;
    for (const ValueId id : node.inputs) inputs.push_back(number(id));
    std::vector<flatbuffers::Offset<schema::Attribute>> attributes;
    for (const auto& [key, value] : node.attrs.entries()) {
      const auto* integers = std::get_if<std::vector<std::int64_t>>(&value);
      const auto list = integers ? builder_.CreateVector(*integers) : 0;
      schema::AttributeBuilder attribute(builder_);
      attribute.add_key(static_cast<std::uint8_t>(key));
      attribute.add_type(static_cast<std::uint8_t>(value.index()));
      if (const auto* integer = std::get_if<std::int64_t>(&value)) attribute.add_integer(*integer);
      if (const auto* real = std::get_if<double>(&value)) attribute.add_real(*real);
      if (integers) attribute.add_integers(list);
      attributes.push_back(attribute.Finish());
    }
    const auto label = builder_.CreateString(graph_.value(node.outputs[0]).name);
    return schema::CreateNode(builder_, static_cast<std::uint16_t>(node.op),
                              builder_.CreateVector(inputs), builder_.CreateVector(attributes),
                              label);
  }

  const Model& model_;
  const Graph& graph_;
  flatbuffers::FlatBufferBuilder builder_;
  std::vector<std::uint32_t> number_;  // by value
  std::vector<std::pair<const Tensor*, std::size_t>> weights_;
  std::size_t weight_bytes_ = 0;
};

tl::unexpected<Error> corrupt(const auto&... parts) {
  return fail(ErrorCode::kCorrupt, "model: ", parts...);
}

// A verified list may still lie at any multiple of four: the verifier looks at a vector's length
// field, not at how its elements are aligned. So elements are copied out as bytes.
std::vector<std::int64_t> read_integers(const flatbuffers::Vector<std::int64_t>* list) {
  std::vector<std::int64_t> values(list ? list->size() : 0);
  if (!values.empty())
    std::memcpy(values.data(), list->Data(), values.size() * sizeof(std::int64_t));
  for (std::int64_t& value : values) value = flatbuffers::EndianScalar(value);
  return values;
}

class Decoder {
 public:
  Decoder(const schema::Model& source, ByteSpan weights, std::shared_ptr<const void> owner,
          bool mapped)
      : source_(source), weights_(weights), owner_(std::move(owner)), mapped_(mapped) {}

  Result<Model> run() {
    const auto* leaves = source_.leaves();
    const auto* nodes = source_.nodes();
    if (!leaves || !nodes || nodes->size() > kNodesMax)
      return corrupt("no graph, or more than ", kNodesMax, " nodes");
    flatbuffers::uoffset_t leaf = 0;
    for (flatbuffers::uoffset_t i = 0; i <= nodes->size(); ++i) {
      for (; leaf < leaves->size() && leaves->Get(leaf)->at_node() <= i; ++leaf) {
        INK_CHECK_OK(add_leaf(*leaves->Get(leaf)));
      }
      if (i < nodes->size()) INK_CHECK_OK(add_node(*nodes->Get(i), i));
    }
    if (leaf != leaves->size()) return corrupt("a value is added behind the last node");
    INK_CHECK_OK(add_names());
    return std::move(model_);
  }

 private:
  Result<ValueId> value(std::uint32_t number) const {
    if (number >= model_.graph.values().size())
      return corrupt("value ", number, " of ", model_.graph.values().size());
    return ValueId{number};
  }

  Result<void> status() const {
    if (const auto& status = model_.graph.status(); !status) return corrupt(status.error().message);
    return {};
  }

  static std::string text(const flatbuffers::String* s) { return s ? s->str() : std::string(); }

  Result<void> add_leaf(const schema::Leaf& leaf) {
    if (leaf.dtype() >= kDTypeCount) return corrupt("element type ", int{leaf.dtype()});
    if (!leaf.shape()) return corrupt("a value without a shape");
    const std::vector<std::int64_t> dims = read_integers(leaf.shape());
    const auto shape = Shape::from(dims);
    if (!shape) return corrupt(shape.error().message);
    const TensorSpec spec{static_cast<DType>(leaf.dtype()), *shape};
    if (leaf.kind() == schema::ValueKind::Input) {
      model_.graph.input(text(leaf.name()), spec);
      return status();
    }
    if (leaf.offset() % kWeightAlignment != 0 || leaf.offset() > weights_.size() ||
        spec.bytes() > weights_.size() - leaf.offset()) {
      return corrupt("weights of ", spec, " at ", leaf.offset(), " reach outside their section of ",
                     weights_.size(), " bytes");
    }
    Tensor tensor = Tensor::borrow(spec, weights_.data() + leaf.offset(), owner_, mapped_);
    switch (leaf.kind()) {
      case schema::ValueKind::Constant:
        model_.graph.constant(std::move(tensor));
        break;
      case schema::ValueKind::Variable:
        model_.graph.variable(text(leaf.name()), std::move(tensor));
        break;
      default:
        return corrupt("a value of kind ", static_cast<int>(leaf.kind()));
    }
    return status();
  }

  Result<void> add_node(const schema::Node& node, std::size_t index) {
    if (node.op() >= op_count())
      return corrupt("node ", index, ": op ", node.op(), ", this version knows ", op_count());
    std::vector<ValueId> inputs;
    if (node.inputs()) {
      for (const std::uint32_t number : *node.inputs()) {
        INK_TRY(inputs.emplace_back(), value(number));
      }
    }
    Attrs attrs;
    if (node.attributes()) {
      for (const auto* attribute : *node.attributes()) {
        INK_CHECK_OK(add_attribute(*attribute, attrs));
      }
    }
    const ValueId first =
        model_.graph.append(static_cast<OpKind>(node.op()), inputs, std::move(attrs));
    INK_CHECK_OK(status());
    if (node.label() && node.label()->size() > 0) model_.graph.label(first, node.label()->str());
    return {};
  }

  static Result<void> add_attribute(const schema::Attribute& attribute, Attrs& attrs) {
    if (attribute.key() >= kAttrCount) return corrupt("attribute ", int{attribute.key()});
    const auto key = static_cast<Attr>(attribute.key());
    switch (attribute.type()) {
      case 0:
        attrs.set(key, attribute.integer());
        return {};
      case 1:
        attrs.set(key, attribute.real());
        return {};
      case 2:
        attrs.set(key, read_integers(attribute.integers()));
        return {};
      default:
        return corrupt("attribute type ", int{attribute.type()});
    }
  }

  Result<void> add_names() {
    if (source_.outputs()) {
      for (const auto* output : *source_.outputs()) {
        INK_TRY(const ValueId id, value(output->value()));
        model_.graph.output(text(output->name()), id);
      }
    }
    if (source_.updates()) {
      for (const auto* update : *source_.updates()) {
        INK_TRY(const ValueId variable, value(update->variable()));
        INK_TRY(const ValueId id, value(update->value()));
        if (model_.graph.value(variable).kind != ValueKind::kVariable)
          return corrupt("an update of what is not a variable");
        model_.graph.update(variable, id);
      }
    }
    if (source_.metadata()) {
      for (const auto* entry : *source_.metadata())
        model_.metadata[text(entry->key())] = text(entry->value());
    }
    return status();
  }

  const schema::Model& source_;
  ByteSpan weights_;
  std::shared_ptr<const void> owner_;
  bool mapped_;
  Model model_;
};

struct Sections {
  ByteSpan graph, weights;
  Sha256Digest digest;
};

Result<Sections> split(ByteSpan bytes) {
  if (bytes.size() < kHeaderBytes)
    return corrupt(bytes.size(), " bytes, expected at least ", kHeaderBytes);
  ByteReader header(bytes.first(kHeaderBytes));
  if (as_text(header.raw(kModelMagic.size())) != kModelMagic)
    return corrupt("the file does not begin with ", kModelMagic);
  const std::uint32_t version = header.u32();
  if (version > kModelVersion) {
    return fail(ErrorCode::kUnsupported, "model: file version ", version,
                ", this build reads up to ", kModelVersion);
  }
  header.u32();
  const std::uint64_t graph_bytes = header.u64(), weight_offset = header.u64(),
                      weight_bytes = header.u64();
  Sections sections;
  const ByteSpan digest = header.raw(sections.digest.size());
  std::copy(digest.begin(), digest.end(), sections.digest.begin());
  if (graph_bytes > kGraphBytesMax ||
      weight_offset != aligned(kHeaderBytes + static_cast<std::size_t>(graph_bytes)) ||
      weight_offset > bytes.size() || weight_bytes != bytes.size() - weight_offset) {
    return corrupt("the header describes ", weight_offset, " + ", weight_bytes,
                   " bytes, the file has ", bytes.size());
  }
  if (digest_of(bytes) != sections.digest)
    return corrupt("the SHA-256 digest differs: the file was changed or damaged");
  sections.graph = bytes.subspan(kHeaderBytes, static_cast<std::size_t>(graph_bytes));
  sections.weights = bytes.subspan(static_cast<std::size_t>(weight_offset));
  return sections;
}

Result<Model> decode(ByteSpan bytes, std::shared_ptr<const void> owner, bool mapped) {
  INK_TRY(const Sections sections, split(bytes));
  if (mapped) release_pages(bytes);  // all were read for the digest, and most are read much later
  flatbuffers::Verifier verifier(sections.graph.data(), sections.graph.size(), 16, 1u << 20);
  if (sections.graph.size() < 8 || !schema::VerifyModelBuffer(verifier))
    return corrupt("the graph is not well formed");
  return Decoder(*schema::GetModel(sections.graph.data()), sections.weights, std::move(owner),
                 mapped)
      .run();
}

}  // namespace

Result<Bytes> encode_model(const Model& model) {
  INK_CHECK_OK(model.graph.status());
  Encoder encoder(model);
  const Bytes graph = encoder.graph();
  if (graph.size() > kGraphBytesMax) {
    return fail(ErrorCode::kResourceLimit, "model: a graph of ", graph.size(), " bytes, limit ",
                kGraphBytesMax);
  }
  const std::size_t weight_offset = aligned(kHeaderBytes + graph.size());
  ByteWriter header;
  header.text(kModelMagic);
  header.u32(kModelVersion);
  header.u32(0);
  header.u64(graph.size());
  header.u64(weight_offset);
  header.u64(encoder.weight_bytes());
  Bytes file = header.take();
  file.resize(kHeaderBytes);
  file.insert(file.end(), graph.begin(), graph.end());
  file.resize(weight_offset + encoder.weight_bytes());
  for (const auto& [tensor, offset] : encoder.weights()) {
    const auto* from = static_cast<const std::uint8_t*>(tensor->raw());
    std::copy_n(from, tensor->spec().bytes(),
                file.begin() + static_cast<std::ptrdiff_t>(weight_offset + offset));
  }
  const Sha256Digest digest = digest_of(file);
  std::copy(digest.begin(), digest.end(), file.begin() + kDigestOffset);
  return file;
}

Result<Model> decode_model(ByteSpan bytes, std::shared_ptr<const void> owner) {
  return decode(bytes, std::move(owner), false);
}

Result<void> save_model(const Model& model, const Path& path) {
  INK_TRY(const Bytes bytes, encode_model(model));
  return write_file(path, bytes);
}

Result<Model> open_model(const Path& path) {
  INK_TRY(const auto file, MappedFile::open(path));
  auto model = decode(file->bytes(), file, true);
  if (!model) return fail_within(std::move(model).error(), path.string());
  return model;
}

Result<Sha256Digest> model_digest(ByteSpan bytes) {
  INK_TRY(const Sections sections, split(bytes));
  return sections.digest;
}

}  // namespace inkling
