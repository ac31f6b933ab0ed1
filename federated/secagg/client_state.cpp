#include "federated/secagg/client_state.h"

#include <algorithm>

namespace inkling::secagg {

namespace {

constexpr std::uint32_t kStateVersion = 1;
constexpr std::size_t kAnswersMax = 8;

// ByteWriter's little sister: its memory is wiped as it grows.
class SecretWriter {
 public:
  explicit SecretWriter(std::size_t bytes) { bytes_.reserve(bytes); }
  void u32(std::uint32_t v) { integer(v, 4); }
  void u64(std::uint64_t v) { integer(v, 8); }
  void raw(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void block(ByteSpan bytes) {
    u64(bytes.size());
    raw(bytes);
  }
  SecretBytes finish() {
    const Hash digest = hash_of({bytes_});
    raw(digest);
    return std::move(bytes_);
  }

 private:
  void integer(std::uint64_t v, unsigned size) {
    for (unsigned i = 0; i < size; ++i) bytes_.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
  }
  SecretBytes bytes_;
};

Bytes read_block(ByteReader& in) {
  const std::uint64_t size = in.u64();
  const ByteSpan bytes = in.raw(std::min<std::uint64_t>(size, ~std::size_t{0}));
  return Bytes(bytes.begin(), bytes.end());
}

template <std::size_t N>
void read_into(ByteReader& in, std::span<std::uint8_t, N> out) {
  const ByteSpan bytes = in.raw(N);
  std::copy(bytes.begin(), bytes.end(), out.begin());
}

Result<ClientSet> read_set(ByteReader& in) {
  const std::uint32_t size = in.u32();
  const Bytes bits = read_block(in);
  if (size > kCohortMax) return fail(ErrorCode::kCorrupt, "client record: a set of ", size);
  return ClientSet::from_bytes(bits, size);
}

Result<void> read_lists(ByteReader& in, ClientState& state) {
  const std::uint32_t held = in.u32();
  if (held > kCohortMax) return fail(ErrorCode::kCorrupt, "client record: ", held, " shares");
  for (std::uint32_t i = 0; i < held && in.ok(); ++i) {
    HeldShare& share = state.held.emplace_back();
    share.owner = in.u32();
    read_into(in, share.pair.writable());
  }
  const std::uint32_t answers = in.u32();
  if (answers > kAnswersMax) {
    return fail(ErrorCode::kCorrupt, "client record: ", answers, " answers");
  }
  for (std::uint32_t i = 0; i < answers && in.ok(); ++i) {
    Answer& answer = state.answers.emplace_back();
    answer.type = static_cast<MessageType>(in.u32());
    read_into(in, std::span(answer.request));
    answer.kept = in.u32() != 0;
    answer.reply = read_block(in);
  }
  return {};
}

}  // namespace

void ClientState::forget_secrets() {
  c_secret = {};
  s_secret = {};
  seed = {};
  held.clear();
}

SecretBytes encode_state(const ClientState& state) {
  std::size_t size = 1024 + state.offer.size() + state.roster.size() +
                     state.held.size() * sizeof(HeldShare) + 2 * state.present.bytes().size();
  for (const Answer& answer : state.answers) size += sizeof(Answer) + answer.reply.size();
  SecretWriter out(size);
  out.u32(kStateVersion);
  out.u32(static_cast<std::uint32_t>(state.phase));
  out.block(state.offer);
  out.block(state.roster);
  out.raw(state.c_secret.reveal());
  out.raw(state.s_secret.reveal());
  out.raw(state.seed.reveal());
  for (const ClientSet* set : {&state.present, &state.survivors}) {
    out.u32(set->size());
    out.block(set->bytes());
  }
  out.u32(static_cast<std::uint32_t>(state.held.size()));
  for (const HeldShare& share : state.held) {
    out.u32(share.owner);
    out.raw(share.pair.reveal());
  }
  out.u32(static_cast<std::uint32_t>(state.answers.size()));
  for (const Answer& answer : state.answers) {
    out.u32(static_cast<std::uint32_t>(answer.type));
    out.raw(answer.request);
    out.u32(answer.kept ? 1 : 0);
    out.block(answer.reply);
  }
  out.u32(static_cast<std::uint32_t>(state.result.code));
  out.u32(state.result.survivors);
  out.raw(state.result.model_hash);
  return out.finish();
}

Result<ClientState> decode_state(ByteSpan record) {
  if (record.size() < sizeof(Hash)) {
    return fail(ErrorCode::kCorrupt, "client record: ", record.size(), " bytes");
  }
  const ByteSpan content = record.first(record.size() - sizeof(Hash));
  if (!equal_in_constant_time(hash_of({content}), record.last(sizeof(Hash)))) {
    return fail(ErrorCode::kCorrupt, "client record: its digest differs");
  }
  ByteReader in(content);
  ClientState state;
  const std::uint32_t version = in.u32();
  const std::uint32_t phase = in.u32();
  state.offer = read_block(in);
  state.roster = read_block(in);
  read_into(in, state.c_secret.writable());
  read_into(in, state.s_secret.writable());
  read_into(in, state.seed.writable());
  INK_TRY(state.present, read_set(in));
  INK_TRY(state.survivors, read_set(in));
  INK_CHECK_OK(read_lists(in, state));
  state.result.code = static_cast<RoundCode>(in.u32());
  state.result.survivors = in.u32();
  read_into(in, std::span(state.result.model_hash));
  if (!in.finished() || version != kStateVersion ||
      phase > static_cast<std::uint32_t>(ClientPhase::kAborted)) {
    return fail(ErrorCode::kCorrupt, "client record: ", record.size(),
                " bytes that are not one state of version ", kStateVersion);
  }
  state.phase = static_cast<ClientPhase>(phase);
  return state;
}

}  // namespace inkling::secagg
