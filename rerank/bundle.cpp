#include "rerank/bundle.h"

namespace inkling {

namespace {

constexpr std::string_view kMagic = "INKBNDL1";
constexpr std::size_t kModelAlignment = 64;  // as the model file wants it

}  // namespace

Result<Bytes> encode_bundle(const Bundle& bundle) {
  INK_CHECK_OK(check_scorer(bundle.model, bundle.layout.schema()));
  const Bytes layout = bundle.layout.to_bytes();
  INK_TRY(const Bytes model, encode_model(bundle.model));
  ByteWriter out;
  out.text(kMagic);
  out.u64(bundle.version);
  out.u32(static_cast<std::uint32_t>(layout.size()));
  out.raw(layout);
  while (out.bytes().size() % kModelAlignment != 0) out.u8(0);
  out.raw(model);
  return out.take();
}

Result<Bundle> decode_bundle(std::shared_ptr<const Bytes> bytes) {
  ByteReader in(*bytes);
  if (as_text(in.raw(kMagic.size())) != kMagic)
    return fail(ErrorCode::kCorrupt, "bundle: does not start with ", kMagic);
  const std::uint64_t version = in.u64();
  const ByteSpan layout_bytes = in.raw(in.u32());
  const std::size_t at = bytes->size() - in.remaining();
  const ByteSpan padding = in.raw((kModelAlignment - at % kModelAlignment) % kModelAlignment);
  if (!in.ok()) return fail(ErrorCode::kCorrupt, "bundle: only ", bytes->size(), " bytes");
  for (const std::uint8_t byte : padding)
    if (byte != 0) return fail(ErrorCode::kCorrupt, "bundle: padding that is not zero");
  INK_TRY(HistoryLayout layout, HistoryLayout::parse(layout_bytes));
  // The model's tensors borrow from a copy that is aligned as they need it.
  const ByteSpan rest = in.raw(in.remaining());
  const auto owner = std::make_shared<Tensor>(
      Tensor::from<std::uint8_t>({static_cast<std::int64_t>(rest.size())}, rest));
  INK_TRY(Model model, decode_model(owner->data<std::uint8_t>(), owner));
  INK_CHECK_OK(check_scorer(model, layout.schema()));
  return Bundle{version, std::move(layout), std::move(model)};
}

}  // namespace inkling
